// All boxes and lines but those of the chosen item: hundreds, so on a canvas.
import { START } from "../../gradio.js";
import { costColour, DARK, relativeCost } from "../scene/costs.js";

/** Pixels around the image in which boxes that leave it are drawn. */
export const RIM = 30;
const HALO = 0.2; // the score from which a box has a dark edge around its own
const DIMMED = 0.28; // opacity beside a chosen item
const BOX_DASHES = { extra: [2, 3], teacher: [7, 3] };
const LINE_DASHES = { solid: [], dashed: [5, 3], dotted: [1.5, 3] };

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import("../scene/model.js").Model} model
 * @param {{items: import("../scene/types.js").Item[], pairs: import("../scene/types.js").Pair[], dim: boolean}} drawn
 */
export function paintCanvas(canvas, model, { items, pairs, dim }) {
  const pen = prepare(canvas, model.size);
  const strength = dim ? DIMMED : 1;
  const order = (item) => (item.side === "truth" ? 2 : 0) + item.score;
  const fromBelow = [...items].sort((a, b) => order(a) - order(b));
  for (const item of fromBelow)
    for (const pane of model.layout.panesOf(item)) strokeBox(pen, model, item, pane, strength);
  if (model.heat) return; // lines would hide the map
  for (const pair of pairs) strokeLine(pen, model, pair, strength);
}

function prepare(canvas, { width, height }) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round((width + 2 * RIM) * ratio);
  canvas.height = Math.round((height + 2 * RIM) * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, RIM * ratio, RIM * ratio);
  return pen;
}

/** A box on whole pixels: [left, top, width, height]. */
function pixels({ layout, size }, [x0, y0, x1, y1], pane) {
  const left = Math.round(layout.across(x0, pane) * size.width);
  const right = Math.round(layout.across(Math.max(x0, x1), pane) * size.width);
  const [top, bottom] = [Math.round(y0 * size.height), Math.round(y1 * size.height)];
  return [left, top, Math.max(1, right - left), Math.max(1, bottom - top)];
}

function strokeBox(pen, model, item, pane, strength) {
  const group = item.group;
  const place = pixels(model, item.box, pane);
  pen.globalAlpha = strength * opacity(item, model.heat);
  pen.setLineDash([]);
  if (item.score >= HALO && !model.heat) {
    pen.strokeStyle = "rgb(0 0 0 / .45)";
    pen.lineWidth = 4;
    pen.strokeRect(...place);
  }
  pen.setLineDash(BOX_DASHES[group.extra ? "extra" : group.id] || []);
  pen.strokeStyle = START.colours[group.role];
  pen.lineWidth = group.id === "truth" ? 2.5 : 2;
  pen.strokeRect(...place);
}

/** Boxes of a higher score are stronger; all but the truth are pale over a map. */
function opacity(item, heat) {
  if (item.side === "truth") return 1;
  return (0.3 + 0.7 * item.score) * (heat ? 0.2 : 1);
}

function strokeLine(pen, model, pair, strength) {
  const ends = model.layout.ends(pair).map(([x, y]) => [x * model.size.width, y * model.size.height]);
  const cost = relativeCost(pair.line, pair.cost);
  pen.globalAlpha = strength;
  strokePath(pen, ends, cost > DARK ? "rgb(255 255 255 / .7)" : "rgb(0 0 0 / .55)", 3.8, []);
  strokePath(pen, ends, costColour(cost), 2.2, LINE_DASHES[pair.line.look] || []);
  [pair.from, pair.to].forEach((item, k) => {
    fillDot(pen, ends[k], START.colours[item.group.role]);
  });
}

function strokePath(pen, [from, to], style, width, dash) {
  pen.strokeStyle = style;
  pen.lineWidth = width;
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

function fillDot(pen, [x, y], colour) {
  pen.beginPath();
  pen.arc(x, y, 3.5, 0, 7);
  pen.fillStyle = colour;
  pen.setLineDash([]);
  pen.strokeStyle = "rgb(0 0 0 / .6)";
  pen.lineWidth = 1;
  pen.fill();
  pen.stroke();
}
