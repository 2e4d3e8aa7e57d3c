// A histogram whose range is chosen by a drag over it, or with the two sliders below it.
import { draw, make, range } from "../../dom.js";
import { brush } from "./brush.js";
import { ends, written } from "./range.js";

const [WIDTH, HEIGHT] = [240, 48];
const LEAST = 1.5; // height of a bar that is not empty

/**
 * @typedef {object} Histogram
 * @property {string} id
 * @property {number} width of a bar
 * @property {number} most the largest value
 * @property {number[]} bars counts, from 0
 */

/**
 * What a histogram is of; `whole` if its values are whole numbers, `unit` follows a value.
 * @typedef {{title: string, says: string, of: string, step: number, unit?: string, whole?: boolean}} Kind
 */

/**
 * @param {Kind} kind
 * @param {(text: string, going: boolean) => void} change `going` after the first step of a drag or of a slider
 */
export function histogramField({ title, says, of, step, unit = "", whole }, change) {
  const svg = /** @type {SVGSVGElement} */ (
    draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" })
  );
  const said = make("output");
  const last = make("span");
  const limits = { min: 0, max: 1, step };
  const low = range(limits, `${title}, from`, (value) => choose(value, Math.max(value, Number(high.value))));
  const high = range(limits, `${title}, to`, (value) => choose(Math.min(value, Number(low.value)), value));
  const head = make("div", { class: "head" }, make("span", null, title), said);
  const axis = make("div", { class: "axis", "aria-hidden": "true" }, make("span", null, "0"), last);
  const node = make(
    "div",
    { class: "dd-histogram", role: "group", "aria-label": title, title: says },
    head,
    svg,
    axis,
    low,
    high,
  );
  /** @type {Histogram} */
  let shown = { id: "", width: 1, most: 1, bars: [] };
  let going = false;
  for (const begin of ["pointerdown", "focusin"])
    node.addEventListener(
      begin,
      () => {
        going = false;
      },
      true,
    );

  function choose(from, to) {
    change(written([from, to], shown.most), going);
    going = true;
  }

  /** A drag takes whole bars. */
  brush(svg, (from, to) => {
    const { bars, width } = shown;
    const at = (part) => Math.min(bars.length - 1, Math.floor(part * bars.length));
    choose(at(from) * width, (at(to) + 1) * width - (whole ? 1 : 0));
  });

  /** Whether a bar is in the range. */
  function chosen(k, [from, to]) {
    const { width } = shown;
    const last = (k + 1) * width - (whole ? 1 : 0);
    return k * width <= to && (whole || from === to ? last >= from : last > from && k * width < to);
  }

  /** @param {Histogram} histogram @param {string} text the range */
  function show(histogram, text) {
    shown = histogram;
    const { bars, most } = histogram;
    const highest = Math.max(1, ...bars);
    const wide = WIDTH / bars.length;
    const bar = (count, k) => {
      const height = count ? Math.max(LEAST, (count / highest) * HEIGHT) : 0;
      return draw("rect", { x: k * wide, width: 0.86 * wide, y: HEIGHT - height, height, "data-count": count });
    };
    svg.replaceChildren(...bars.map(bar));
    svg.setAttribute("aria-label", `${bars.reduce((sum, count) => sum + count, 0)} ${of}, ${title.toLowerCase()}`);
    for (const slider of [low, high]) slider.max = String(most);
    last.textContent = most + unit;
    mark(text);
  }

  /** Shows a range, also before the server knows what it leaves. */
  function mark(text) {
    if (!shown.bars.length) return;
    const limits = ends(text, shown.most);
    [low, high].forEach((slider, k) => {
      if (Number(slider.value) !== limits[k]) slider.value = String(limits[k]);
      slider.setAttribute("aria-valuetext", `${Number(limits[k].toFixed(2))}${unit}`);
    });
    said.textContent = text ? limits.map((end) => Number(end.toFixed(2))).join(" to ") + unit : "any";
    [...svg.children].forEach((bar, k) => {
      bar.classList.toggle("out", !chosen(k, limits));
    });
  }

  return { node, show, mark };
}
