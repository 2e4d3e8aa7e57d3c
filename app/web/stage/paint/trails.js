// All decoder layers at once: the boxes of one query or object over the layers, or the paths of all boxes' centres.
import { colourOf } from "../../drawing/colours.js";
import { center } from "../scene/items.js";
import { MANY, opacity } from "./opacity.js";
import { fillDot, strokePath } from "./strokes.js";

/** @typedef {import("../scene/model.js").Model} Model */
/** @typedef {import("../scene/types.js").Item} Item */
/** @typedef {{layer: number, box: import("../scene/types.js").Box}} Stop a box in a layer, which counts from 0 */
/** @typedef {{side: string, role: string, score: number, stops: Stop[]}} Trail */

const CORNERS = {
  teacher: { right: true, low: false },
  other: { right: true, low: true },
  prior: { right: false, low: true },
};
const PLATE = { width: 14, height: 15, apart: 15, off: 4 }; // pixels: of a number, to the next one, to its box
const FONT = "600 11px system-ui, sans-serif";

/**
 * One trail for a chosen query, one for each detector for a chosen object, and else one for each visible query.
 * @param {Model} model
 * @returns {Trail[]}
 */
function trailsOf(model) {
  const { chosen, visible, scene } = model;
  if (!chosen) return visible.items.filter(({ side }) => side !== "truth").map(ofQuery);
  if (chosen.side !== "truth") return [ofQuery(chosen)];
  const lines = scene.lines.filter(({ from, to }) => to === "truth" && model.isShown(from));
  return lines.map((line) => ofObject(line, model.group(line.from), chosen.index));
}

/** @param {Item} item @returns {Trail} */
function ofQuery({ side, index, score, group }) {
  const stops = group.layers.map((frame, layer) => ({ layer, box: frame.boxes[index] }));
  return { side, role: group.role, score, stops };
}

/** The box of the query that each layer matches with an object. @returns {Trail} */
function ofObject(line, group, object) {
  const stops = line.layers.flatMap((pairs, layer) => {
    const query = pairs.find(([, target]) => target === object)?.[0];
    const frame = group.layers[Math.min(layer, group.layers.length - 1)];
    return query === undefined ? [] : [{ layer, box: frame.boxes[query] }];
  });
  return { side: group.id, role: group.role, score: 1, stops };
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Model} model
 */
export function paintTrails(pen, model, pane) {
  const trails = trailsOf(model);
  for (const trail of trails.filter(({ side }) => model.layout.paneOf(side) === pane)) {
    pen.globalAlpha = model.chosen ? 1 : opacity(trail, trails.length > MANY, null);
    paintPath(pen, model, pane, trail);
    if (model.chosen) for (const stop of trail.stops) paintStop(pen, model, pane, trail, stop);
  }
  pen.globalAlpha = 1;
  for (const plate of platesOf(model, pane)) paintNumber(pen, plate);
}

function paintPath(pen, { view }, pane, { role, stops }) {
  const path = stops.map(({ box }) => view.place(center(box), pane));
  if (!path.length) return;
  strokePath(pen, path, "rgb(0 0 0 / .55)", 3.4, []);
  strokePath(pen, path, colourOf(role), 1.8, []);
  fillDot(pen, path[path.length - 1], colourOf(role), 2.8);
}

/** A box of one layer; later layers are stronger. */
function paintStop(pen, model, pane, { role }, { layer, box }) {
  const { left, top, width, height } = model.view.box(box, pane);
  const last = Math.max(1, model.scene.layers - 1);
  pen.globalAlpha = 0.35 + 0.65 * (layer / last);
  pen.setLineDash([]);
  pen.strokeStyle = "rgb(0 0 0 / .5)";
  pen.lineWidth = 4;
  pen.strokeRect(left, top, width, height);
  pen.strokeStyle = colourOf(role);
  pen.lineWidth = layer === model.layer ? 3.5 : 1.8;
  pen.strokeRect(left, top, width, height);
}

/** The plate of a layer's number, at an edge of the box: each detector has its corner, each layer its place. */
function plateOf({ left, top, width, height }, side, layer) {
  const { right, low } = CORNERS[side] || { right: false, low: false };
  const along = PLATE.apart * layer;
  const x = right ? left + width - PLATE.width - along : left + along;
  const y = low ? top + height + PLATE.off : top - PLATE.height - PLATE.off;
  return { left: x, top: y, width: PLATE.width, height: PLATE.height };
}

/**
 * The plates of all numbers in a pane, which no label may cover.
 * @param {Model} model
 */
export function platesOf(model, pane) {
  if (model.options.look !== "layers" || !model.chosen) return [];
  const trails = trailsOf(model).filter(({ side }) => model.layout.paneOf(side) === pane);
  return trails.flatMap(({ side, role, stops }) =>
    stops.map(({ layer, box }) => ({ ...plateOf(model.view.box(box, pane), side, layer), role, layer })),
  );
}

function paintNumber(pen, { left, top, width, height, role, layer }) {
  pen.fillStyle = "rgb(13 17 23 / .88)";
  pen.fillRect(left, top, width, height);
  pen.fillStyle = colourOf(role);
  pen.fillRect(left, top + height - 2, width, 3);
  pen.fillStyle = "#ffffff";
  pen.font = FONT;
  pen.textAlign = "center";
  pen.fillText(String(layer + 1), left + width / 2, top + 11);
}
