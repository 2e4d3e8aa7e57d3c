// Axes of a plain chart: ticks at round numbers, grid lines and labels.
import { draw, minus } from "../dom.js";

const SIZE = { width: 480, height: 260, left: 44, right: 12, top: 10, bottom: 37 };
const INNER = { width: SIZE.width - SIZE.left - SIZE.right, height: SIZE.height - SIZE.top - SIZE.bottom };
const [LEFT, RIGHT] = [SIZE.left, SIZE.left + INNER.width];
const [TOP, BOTTOM] = [SIZE.top, SIZE.top + INNER.height];

/** About `count` round numbers between two others. */
function ticks(low, high, count = 5) {
  const raw = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw);
  const values = [];
  for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + 1e-9 * step; x += step)
    values.push(Math.abs(x) < 1e-12 ? 0 : x);
  return values;
}

/** Powers of ten between two positive numbers, with 2 and 5 between them where they are few. */
function powers(low, high) {
  const range = (from, to) => Array.from({ length: to - from + 1 }, (_, k) => from + k);
  const exponents = range(Math.floor(Math.log10(low)), Math.ceil(Math.log10(high)));
  const digits = exponents.length > 4 ? [1] : [1, 2, 5];
  const values = exponents.flatMap((exponent) => digits.map((digit) => digit * 10 ** exponent));
  return values.filter((value) => value >= low * 0.999 && value <= high * 1.001);
}

const isWhole = (value) => Math.abs(value - Math.round(value)) < 1e-6;
const numeral = (value) => minus(String(Number(value.toPrecision(3))));

/**
 * @param {[number, number, number, number]} range least and largest x, least and largest y
 * @param {[string, string]} labels of the x axis and the y axis
 * @param {{whole?: boolean, log?: boolean}} options `whole`: only whole numbers on the x axis; `log`: logarithmic y
 * @returns functions from values to pixels, and the nodes of the grid
 */
export function axes([x0, x1, y0, y1], labels, { whole, log } = {}) {
  const level = log ? Math.log10 : Number;
  const x = (value) => LEFT + ((value - x0) / (x1 - x0 || 1)) * INNER.width;
  const y = (value) => BOTTOM - ((level(value) - level(y0)) / (level(y1) - level(y0) || 1)) * INNER.height;
  const vertical = ticks(x0, x1).filter((value) => !whole || isWhole(value));
  const grid = [
    ...vertical.map((value) => verticalTick(x(value), value)),
    ...(log ? powers(y0, y1) : ticks(y0, y1)).map((value) => horizontalTick(y(value), value)),
    ...axisLabels(labels),
  ];
  return { x, y, grid, left: LEFT, right: RIGHT };
}

function verticalTick(x, value) {
  const line = draw("line", { x1: x, x2: x, y1: TOP, y2: BOTTOM });
  const text = draw("text", { x, y: SIZE.height - 21, "text-anchor": "middle" }, numeral(value));
  return draw("g", { class: "tick" }, line, text);
}

function horizontalTick(y, value) {
  const line = draw("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y });
  const text = draw("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, numeral(value));
  return draw("g", { class: "tick" }, line, text);
}

function axisLabels([ofX, ofY]) {
  const middle = { class: "label", "text-anchor": "middle" };
  const transform = `translate(11 ${TOP + INNER.height / 2}) rotate(-90)`;
  return [
    draw("text", { ...middle, x: LEFT + INNER.width / 2, y: SIZE.height - 3 }, ofX),
    draw("text", { ...middle, x: 0, y: 0, transform }, ofY),
  ];
}

/** Nodes of which what lies beyond the axes is not seen. */
export function within(...children) {
  const place = { x: LEFT, y: TOP, width: INNER.width, height: INNER.height };
  return draw("svg", { ...place, viewBox: `${LEFT} ${TOP} ${INNER.width} ${INNER.height}` }, ...children);
}

/**
 * Lets a drag over a chart choose a part of its x axis.
 * @param {SVGSVGElement} svg
 * @param {[number, number]} range least and largest x
 * @param {(from: number, to: number) => void} choose
 */
export function brushed(svg, [x0, x1], choose) {
  const band = draw("rect", { class: "brush", y: TOP, height: INNER.height, x: 0, width: 0 });
  let begun = null;
  const at = ({ clientX, clientY }) => {
    const { x } = new DOMPoint(clientX, clientY).matrixTransform(svg.getScreenCTM().inverse());
    return Math.min(RIGHT, Math.max(LEFT, x));
  };
  const value = (x) => x0 + ((x - LEFT) / INNER.width) * (x1 - x0);
  svg.append(band);
  svg.addEventListener("pointerdown", (event) => {
    begun = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (begun === null) return;
    const ends = [begun, at(event)].sort((a, b) => a - b);
    band.setAttribute("x", String(ends[0]));
    band.setAttribute("width", String(ends[1] - ends[0]));
  });
  svg.addEventListener("pointerup", (event) => {
    const ends = [begun, at(event)].sort((a, b) => a - b);
    begun = null;
    band.setAttribute("width", "0");
    if (ends[1] - ends[0] > 4) choose(value(ends[0]), value(ends[1]));
  });
  return svg;
}

/** A chart from its nodes; the name is for screen readers. */
export function chart(name, ...children) {
  const viewBox = `0 0 ${SIZE.width} ${SIZE.height}`;
  return draw("svg", { class: "dd-chart", viewBox, role: "img", "aria-label": name }, ...children);
}
