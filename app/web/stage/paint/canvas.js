// All boxes and lines but those of the chosen item: hundreds, so on a canvas.
import { colourOf } from "../../drawing/colours.js";
import { costColour, DARK, relativeCost } from "../scene/costs.js";
import { center } from "../scene/items.js";
import { paintDensity } from "./density.js";
import { MANY, opacity } from "./opacity.js";
import { fillDot, strokePath } from "./strokes.js";
import { paintTrails } from "./trails.js";

/** @typedef {import("../scene/model.js").Model} Model */
/** @typedef {import("../scene/types.js").Item} Item */
/** @typedef {import("../scene/types.js").Pair} Pair */
/** @typedef {{items: Item[], pairs: Pair[], dim: boolean}} Drawn */

const HALO = 0.2; // the score from which a box has a dark edge around its own
const HALO_OF_MANY = 0.5;
const DIMMED = 0.28; // opacity beside a chosen item
const BOX_DASHES = { extra: [2, 3], teacher: [7, 3] };
const LINE_DASHES = { solid: [], dashed: [5, 3], dotted: [1.5, 3] };

/** Makes the canvas as large as the board, and empties it. */
export function prepare(canvas, { width, height }) {
  const ratio = window.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, across, down);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return pen;
}

/**
 * Paints with the pen of a canvas, or with one that writes SVG.
 * @param {CanvasRenderingContext2D} pen
 * @param {Model} model
 * @param {Drawn} drawn
 */
export function paintBoard(pen, model, drawn) {
  const { look } = model.options;
  const order = (item) => (item.side === "truth" ? 2 : 0) + item.score;
  const fromBelow = [...drawn.items].sort((a, b) => order(a) - order(b));
  const strength = drawn.dim ? DIMMED : 1;
  for (let k = 0; k < model.view.count; k++) {
    pen.save();
    clipTo(pen, model.view.pane(k));
    if (look === "density") paintDensity(pen, model, k);
    for (const item of fromBelow)
      if (model.layout.panesOf(item).includes(k) && (look === "boxes" || item.side === "truth"))
        strokeBox(pen, model, item, k, { strength, many: fromBelow.length > MANY });
    if (look === "layers") paintTrails(pen, model, k);
    pen.restore();
  }
  if (model.heat || look !== "boxes") return; // lines would hide the map, or the trails
  for (const pair of drawn.pairs) strokeLine(pen, model, pair, strength);
}

function clipTo(pen, { left, top, width, height }) {
  pen.beginPath();
  pen.rect(left, top, width, height);
  pen.clip();
}

function strokeBox(pen, model, item, pane, { strength, many }) {
  const { group, score } = item;
  const { left, top, width, height } = model.view.box(item.box, pane);
  const rim = model.view.pane(pane);
  const outside = left > rim.left + rim.width || top > rim.top + rim.height;
  if (outside || left + width < rim.left || top + height < rim.top) return;
  const thin = many && group.id !== "truth" ? 0.4 + 0.6 * score : 1;
  pen.globalAlpha = strength * opacity(item, many, model.heat);
  if (score >= (many ? HALO_OF_MANY : HALO) && !model.heat) {
    pen.setLineDash([]);
    pen.strokeStyle = "rgb(0 0 0 / .45)";
    pen.lineWidth = 4 * thin;
    pen.strokeRect(left, top, width, height);
  }
  pen.setLineDash((!many && BOX_DASHES[group.extra ? "extra" : group.id]) || []); // dashes of many run into each other
  pen.strokeStyle = colourOf(group.role);
  pen.lineWidth = thin * (group.id === "truth" ? 2.5 : 2);
  pen.strokeRect(left, top, width, height);
}

/**
 * The two ends of a pair's line on the canvas; null if one of them is outside of its pane of several.
 * @param {Model} model
 * @param {Pair} pair
 */
export function endsOf({ layout, view }, pair) {
  const panes = layout.panesOfEnds(pair);
  const centers = [center(pair.from.box), center(pair.to.box)];
  if (view.count > 1 && !centers.every((at, k) => view.shows(at, panes[k]))) return null;
  return centers.map((at, k) => view.place(at, panes[k]));
}

function strokeLine(pen, model, pair, strength) {
  const ends = endsOf(model, pair);
  if (!ends) return;
  const cost = relativeCost(pair.line, pair.cost);
  pen.globalAlpha = strength;
  strokePath(pen, ends, cost > DARK ? "rgb(255 255 255 / .7)" : "rgb(0 0 0 / .55)", 3.8, []);
  strokePath(pen, ends, costColour(cost), 2.2, LINE_DASHES[pair.line.look] || []);
  [pair.from, pair.to].forEach((item, k) => {
    fillDot(pen, ends[k], colourOf(item.group.role));
  });
}
