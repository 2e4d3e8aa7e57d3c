// A chart of lines over steps, with a legend.
import { draw, make, short } from "../dom.js";
import { axes, brushed, chart, within } from "./axes.js";
import { measured, rangeOf, seen, smoothed } from "./range.js";

const DOTTED = 30; // a curve of fewer points shows them

/** @typedef {{title: string, role?: string, dashed?: boolean, points: (number | null)[][]}} Series */

/**
 * @param {string} name
 * @param {Series[]} series points whose value is null are left out
 * @param {[string, string]} labels
 * @param {import("./range.js").Options} options
 */
export function curves(name, series, labels, options = {}) {
  const shown = series.map((s) => ({ ...s, points: seen(measured(s.points), options) }));
  const smooth = shown.map((s) => ({ ...s, points: smoothed(s.points, options.smooth) }));
  if (!shown.some((s) => s.points.length)) return make("p", { class: "dd-note" }, "Nothing has been measured yet.");
  const range = rangeOf(smooth, options);
  const { x, y, grid } = axes(range, labels, options);
  const raw = options.smooth ? shown.map((s) => curve({ ...s, role: `${s.role || ""} raw` }, x, y)) : [];
  const lines = [...raw, ...smooth.map((s) => curve(s, x, y))];
  const svg = chart(name, ...grid, ...(options.most || options.view ? [within(...lines)] : lines));
  if (options.choose) brushed(svg, [range[0], range[1]], options.choose);
  return make("div", { class: "dd-curves" }, svg, legend(series));
}

function curve(series, x, y) {
  const { points } = series;
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
