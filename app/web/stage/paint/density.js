// How many boxes lie over each place of the image, as a map: what hundreds of boxes show together.
import { SHADES } from "../../drawing/colours.js";

const CELLS = 192; // of the map along the image's longer side

/** @typedef {import("../scene/model.js").Model} Model */
/** @typedef {{canvas: HTMLCanvasElement, most: number}} Density */

/** @type {WeakMap<object, Density[]>} by what is visible; of each pane */
const made = new WeakMap();

/**
 * The maps of all panes, on one scale; `most` is the largest number of boxes over one place of any.
 * @param {Model} model
 */
export function densities(model) {
  const { visible, layout, picture } = model;
  const known = made.get(visible);
  if (known?.length === layout.names.length) return known;
  const size = cells(picture);
  const ofPane =
    (pane) =>
    ({ side, box }) =>
      side !== "truth" && layout.paneOf(side) === pane ? [box] : [];
  const counts = layout.names.map((_, pane) => countBoxes(visible.items.flatMap(ofPane(pane)), size));
  const most = Math.max(...counts.map((count) => count.reduce((a, b) => Math.max(a, b), 0)));
  const maps = counts.map((count) => ({ canvas: painted(count, size, most), most }));
  made.set(visible, maps);
  return maps;
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Model} model
 */
export function paintDensity(pen, model, pane) {
  const { left, top, width, height } = model.view.image(pane);
  pen.globalAlpha = 1;
  pen.drawImage(densities(model)[pane].canvas, left, top, width, height);
}

function cells({ width, height }) {
  const scale = CELLS / Math.max(width, height);
  return { columns: Math.max(1, Math.round(width * scale)), rows: Math.max(1, Math.round(height * scale)) };
}

/** The number of boxes over the middle of each cell: a box adds 1 at its corner, and sums along both axes spread it. */
function countBoxes(boxes, { columns, rows }) {
  const stride = columns + 1;
  const sums = new Float64Array(stride * (rows + 1));
  const cell = (at, count) => Math.max(0, Math.min(count, Math.round(at * count)));
  for (const [x0, y0, x1, y1] of boxes) {
    const [left, right, top, bottom] = [cell(x0, columns), cell(x1, columns), cell(y0, rows), cell(y1, rows)];
    sums[top * stride + left] += 1;
    sums[top * stride + right] -= 1;
    sums[bottom * stride + left] -= 1;
    sums[bottom * stride + right] += 1;
  }
  for (let k = 1; k < sums.length; k++) if (k % stride) sums[k] += sums[k - 1];
  for (let k = stride; k < sums.length; k++) sums[k] += sums[k - stride];
  return Float64Array.from(
    { length: columns * rows },
    (_, k) => sums[Math.floor(k / columns) * stride + (k % columns)],
  );
}

function painted(counts, { columns, rows }, most) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: columns, height: rows });
  const pen = canvas.getContext("2d");
  const pixels = pen.createImageData(columns, rows);
  counts.forEach((count, k) => {
    pixels.data.set(SHADES[most ? Math.round((255 * count) / most) : 0], 4 * k);
  });
  pen.putImageData(pixels, 0, 0);
  return canvas;
}
