// The chosen item and what belongs to it, as SVG: its box, its pairs, its path through the layers, where it reads.
import { draw, short } from "../../dom.js";
import { costColour, DARK, relativeCost } from "../scene/costs.js";
import { area, center } from "../scene/items.js";
import { endsOf } from "./canvas.js";
import { labels } from "./labels.js";

/** @typedef {import("../scene/model.js").Model} Model */
/** @typedef {import("../scene/types.js").Item} Item */

/** The chosen item and what belongs to it. @param {Model} model */
function apartItems({ chosen, options, visible: { items, near } }) {
  return chosen ? items.filter((item) => item === chosen || (options.look === "boxes" && near.has(item))) : [];
}

/**
 * The labels over the canvas.
 * @param {Model} model
 */
export function overlayLabels(model) {
  const { chosen, options, visible } = model;
  if (chosen) return labels(model, apartItems(model));
  const wanted = options.look === "boxes" ? visible.items : visible.items.filter(({ side }) => side === "truth");
  return labels(model, options.names ? wanted : []);
}

/**
 * What lies over the canvas, but for labels.
 * @param {Model} model
 */
export function overlayNodes(model) {
  const { chosen, options } = model;
  const { pairs } = model.visible;
  const plain = options.look === "boxes";
  const apart = apartItems(model);
  const boxes = [...apart]
    .sort((a, b) => Number(a === chosen) - Number(b === chosen) || area(b.box) - area(a.box))
    .flatMap((item) => boxNodes(model, item));
  const lines = plain ? pairs.filter((pair) => pair.ends).flatMap((pair, nth) => lineNode(model, pair, nth)) : [];
  const trail = plain ? trailNodes(model, chosen) : [];
  const panes = Array.from({ length: model.view.count }, (_, k) => clip(model, k));
  return [draw("defs", null, panes), ...boxes, ...samplingNodes(model, chosen), ...trail, ...lines];
}

function clip({ view }, k) {
  const { left: x, top: y, width, height } = view.pane(k);
  return draw("clipPath", { id: `dd-pane-${k}` }, draw("rect", { x, y, width, height }));
}

/** Nodes that are seen inside a pane only. */
const within = (pane, node) => draw("g", { "clip-path": `url(#dd-pane-${pane})` }, node);

/** The box under the mouse, or that of the row of a table that is under it. */
export function hoverNodes(model) {
  const item = model.hovered;
  return item ? boxNodes(model, item, "over") : [];
}

/**
 * A box in each pane that shows it.
 * @param {Model} model
 * @param {Item} item
 */
function boxNodes(model, item, look = "") {
  const { role, id, extra } = item.group;
  const looks = [
    "dd-box",
    role,
    extra && "extra",
    id === "teacher" && "dashed",
    look || (item === model.chosen && "chosen"),
  ];
  const attributes = { class: looks.filter(Boolean).join(" "), "data-side": item.side, "data-index": item.index };
  return model.layout.panesOf(item).map((pane) => {
    const { left: x, top: y, width, height } = model.view.box(item.box, pane);
    const edges = ["halo", "edge"].map((part) => draw("rect", { x, y, width, height, class: part }));
    return within(pane, draw("g", attributes, edges));
  });
}

/** A pair's line with its cost; of several lines each cost stands above the one before. */
function lineNode(model, pair, nth) {
  const ends = endsOf(model, pair);
  if (!ends) return [];
  const [a, b] = ends;
  const cost = relativeCost(pair.line, pair.cost);
  const place = { x1: a[0], y1: a[1], x2: b[0], y2: b[1] };
  const dot = ([cx, cy], item) => draw("circle", { class: item.group.role, cx, cy, r: 3.5 });
  const middle = { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2 };
  const label =
    pair.cost !== null && draw("text", { class: "dd-cost", ...middle, dy: -9 - 14 * nth }, short(pair.cost));
  const look = `dd-line ${pair.line.look}${cost > DARK ? " high-cost" : ""}`;
  const edge = draw("line", { ...place, class: "edge", stroke: costColour(cost) });
  return draw(
    "g",
    { class: look },
    draw("line", { ...place, class: "halo" }),
    edge,
    dot(a, pair.from),
    dot(b, pair.to),
    label,
  );
}

/** The centre of the chosen query's box in each layer. */
function trailNodes(model, item) {
  if (!item || item.side === "truth" || item.group.layers.length < 2) return [];
  const pane = model.layout.paneOf(item.side);
  const path = item.group.layers.map((frame) => model.view.place(center(frame.boxes[item.index]), pane));
  const leg = ([x, y], k) => draw("line", { class: "dd-trail", x1: path[k][0], y1: path[k][1], x2: x, y2: y });
  const stop = ([cx, cy], k) => {
    const here = k === model.layer;
    return draw("circle", { class: `dd-stop${here ? " here" : ""} ${item.group.role}`, cx, cy, r: here ? 4 : 2.5 });
  };
  return [...path.slice(1).map(leg), ...path.map(stop)].map((node) => within(pane, node));
}

/** Where the chosen query reads the image in this layer, the largest weights on top. */
function samplingNodes(model, item) {
  if (!item || model.sampling?.key !== model.keyOf(item)) return [];
  const pane = model.layout.paneOf(item.side);
  const { places } = model.sampling;
  const most = Math.max(...places.map(([, , weight]) => weight));
  const nodes = places.map(([x, y, weight]) => {
    const [cx, cy] = model.view.place([x, y], pane);
    const r = (1 + 4 * Math.sqrt(weight / most)).toFixed(2);
    return draw("circle", { class: `dd-read ${item.group.role}`, cx, cy, r, "data-weight": weight });
  });
  return [within(pane, nodes)];
}
