// A chart of lines over steps, with a legend.
import { draw, make, short } from "../dom.js";
import { axes, chart } from "./axes.js";

const DOTTED = 30; // a curve of fewer points shows them

/** @typedef {{title: string, role?: string, dashed?: boolean, points: (number | null)[][]}} Series */

/**
 * @param {string} name
 * @param {Series[]} series points whose value is null are left out
 * @param {[string, string]} labels
 * @param {{zero?: boolean, whole?: boolean}} options `zero`: y includes 0; `whole`: whole numbers on the x axis
 */
export function curves(name, series, labels, { zero, whole } = {}) {
  const points = series.flatMap((s) => measured(s));
  if (!points.length) return make("p", { class: "dd-note" }, "Nothing has been measured yet.");
  const { x, y, grid } = axes(rangeOf(points, zero), labels, whole);
  const paths = series.map((s) => curve(s, x, y));
  return make("div", { class: "dd-curves" }, chart(name, ...grid, ...paths), legend(series));
}

const measured = ({ points }) => points.filter(([, value]) => value !== null);

/** @returns {[number, number, number, number]} */
function rangeOf(points, zero) {
  const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
  const low = zero ? Math.min(0, ...ys) : Math.min(...ys);
  const high = Math.max(...ys);
  return [Math.min(...xs), Math.max(...xs), low, high === low ? low + 1 : high];
}

function curve(series, x, y) {
  const points = measured(series);
  const corners = points.map(([at, value]) => `${x(at).toFixed(1)} ${y(value).toFixed(1)}`);
  const dot = ([at, value]) => {
    const title = draw("title", null, `${series.title}: ${short(value)}`);
    return draw("circle", { class: "dot", cx: x(at), cy: y(value), r: 2.6 }, title);
  };
  const path = corners.length ? draw("path", { d: `M${corners.join("L")}` }) : null;
  const look = `curve ${series.role || ""}${series.dashed ? " dashed" : ""}`;
  const dots = points.length < DOTTED ? points.map(dot) : [];
  return draw("g", { class: look, "data-series": series.title }, path, ...dots);
}

function legend(series) {
  const stroke = (s) => make("i", { class: s.dashed ? "dashed" : "" });
  return make(
    "div",
    { class: "dd-series" },
    series.map((s) => make("span", { class: s.role }, stroke(s), s.title)),
  );
}
