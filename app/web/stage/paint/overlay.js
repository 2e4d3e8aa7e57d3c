// The chosen item and what belongs to it, as SVG: its box, its pairs, its path through the layers, where it reads.
import { draw, percent, short } from "../../dom.js";
import { DARK, relativeCost } from "../scene/costs.js";
import { area, center } from "../scene/items.js";
import { labels } from "./labels.js";

/** @typedef {import("../scene/model.js").Model} Model */
/** @typedef {import("../scene/types.js").Item} Item */

const LABELLED = 40; // more boxes than this, and labels would hide the image

/** @param {Model} model */
export function overlayNodes(model) {
  const { items, pairs, near } = model.visible;
  const chosen = model.chosen;
  const apart = chosen ? items.filter((item) => item === chosen || near.has(item)) : [];
  const boxes = [...apart]
    .sort((a, b) => Number(a === chosen) - Number(b === chosen) || area(b.box) - area(a.box))
    .flatMap((item) => model.layout.panesOf(item).map((pane) => boxNode(model, item, pane)));
  const lines = pairs.filter((pair) => pair.ends).map((pair, nth) => lineNode(model, pair, nth));
  const named = chosen ? apart : model.options.names && items.length <= LABELLED ? items : [];
  return [...boxes, ...samplingNodes(model, chosen), ...trailNodes(model, chosen), ...lines, ...labels(model, named)];
}

/**
 * One box in one pane.
 * @param {Model} model
 * @param {Item} item
 */
export function boxNode(model, item, pane) {
  const [x0, y0, x1, y1] = item.box;
  const { role, id, extra } = item.group;
  const place = {
    x: percent(model.layout.across(x0, pane)),
    y: percent(y0),
    width: percent(Math.max(0, x1 - x0) * model.layout.width),
    height: percent(Math.max(0, y1 - y0)),
  };
  const looks = ["dd-box", role, extra && "extra", id === "teacher" && "dashed", item === model.chosen && "chosen"];
  const attributes = { class: looks.filter(Boolean).join(" "), "data-side": item.side, "data-index": item.index };
  return draw("g", attributes, draw("rect", { ...place, class: "halo" }), draw("rect", { ...place, class: "edge" }));
}

/** A pair's line with its cost; of several lines each cost stands above the one before. */
function lineNode(model, pair, nth) {
  const [a, b] = model.layout.ends(pair);
  const cost = relativeCost(pair.line, pair.cost);
  const place = { x1: percent(a[0]), y1: percent(a[1]), x2: percent(b[0]), y2: percent(b[1]) };
  const dot = ([x, y], item) => draw("circle", { class: item.group.role, cx: percent(x), cy: percent(y), r: 3.5 });
  const middle = { x: percent((a[0] + b[0]) / 2), y: percent((a[1] + b[1]) / 2) };
  const label =
    pair.cost !== null && draw("text", { class: "dd-cost", ...middle, dy: -9 - 14 * nth }, short(pair.cost));
  const look = `dd-line ${pair.line.look}${cost > DARK ? " high-cost" : ""}`;
  const edges = ["halo", "edge"].map((part) => draw("line", { ...place, class: part }));
  return draw(
    "g",
    { class: look, style: `--cost:${cost.toFixed(2)}` },
    edges,
    dot(a, pair.from),
    dot(b, pair.to),
    label,
  );
}

/** The centre of the chosen query's box in each layer. */
function trailNodes(model, item) {
  if (!item || item.side === "truth" || item.group.layers.length < 2) return [];
  const pane = model.layout.paneOf(item.side);
  const centers = item.group.layers.map((frame) => center(frame.boxes[item.index]));
  const path = centers.map(([x, y]) => [percent(model.layout.across(x, pane)), percent(y)]);
  const leg = ([x, y], k) => draw("line", { class: "dd-trail", x1: path[k][0], y1: path[k][1], x2: x, y2: y });
  const stop = ([cx, cy], k) => {
    const here = k === model.layer;
    return draw("circle", { class: `dd-stop${here ? " here" : ""} ${item.group.role}`, cx, cy, r: here ? 4 : 2.5 });
  };
  return [...path.slice(1).map(leg), ...path.map(stop)];
}

/** Where the chosen query reads the image in this layer, the largest weights on top. */
function samplingNodes(model, item) {
  if (!item || model.sampling?.key !== model.keyOf(item)) return [];
  const pane = model.layout.paneOf(item.side);
  const { places } = model.sampling;
  const most = Math.max(...places.map(([, , weight]) => weight));
  return places.map(([x, y, weight]) =>
    draw("circle", {
      class: `dd-read ${item.group.role}`,
      cx: percent(model.layout.across(x, pane)),
      cy: percent(y),
      r: (1 + 4 * Math.sqrt(weight / most)).toFixed(2),
      "data-weight": weight,
    }),
  );
}
