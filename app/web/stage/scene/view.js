// Where on the canvas, in pixels, a place of the image is: every pane shows the same part of it.
import { allowed, FIT } from "./zoom.js";

/** @typedef {import("./zoom.js").Zoom} Zoom */
/** @typedef {{left: number, top: number, width: number, height: number}} Rectangle */
/** @typedef {{width: number, height: number}} Size */

const PAD = 28; // pixels around an image that fits, for labels and for boxes that leave it
const GAP = 8; // pixels between panes
const WORTH = 1.4; // how much larger images of a column must be than those of a row

export class View {
  /**
   * @param {Size} board the canvas, in pixels
   * @param {Size} picture
   * @param {number} count of panes
   * @param {Zoom} zoom
   */
  constructor(board, picture, count, zoom) {
    Object.assign(this, { board, picture, count, zoom });
    const { columns, fitted } = arrangement(board, picture, count);
    this.columns = columns;
    this.width = picture.width * fitted * zoom.scale; // of an image, in pixels of the canvas
    this.height = picture.height * fitted * zoom.scale;
  }

  /** @returns {Rectangle} */
  pane(k) {
    const rows = this.count / this.columns;
    const [width, height] = [part(this.board.width, this.columns), part(this.board.height, rows)];
    const [column, row] = [k % this.columns, Math.floor(k / this.columns)];
    return { left: column * (width + GAP), top: row * (height + GAP), width, height };
  }

  /** The whole image of a pane; it may reach beyond the pane. @returns {Rectangle} */
  image(k) {
    const { left, top, width, height } = this.pane(k);
    return {
      left: left + width / 2 - this.zoom.x * this.width,
      top: top + height / 2 - this.zoom.y * this.height,
      width: this.width,
      height: this.height,
    };
  }

  /** @param {[number, number]} at in fractions of the image */
  place([x, y], k) {
    const { left, top, width, height } = this.image(k);
    return [left + x * width, top + y * height];
  }

  /** A box on whole pixels, at least one wide. @returns {Rectangle} */
  box([x0, y0, x1, y1], k) {
    const [left, top] = this.place([x0, y0], k).map(Math.round);
    const [right, bottom] = this.place([Math.max(x0, x1), Math.max(y0, y1)], k).map(Math.round);
    return { left, top, width: Math.max(1, right - left), height: Math.max(1, bottom - top) };
  }

  /** The pane under a point of the canvas, and the place of the image there. */
  under(x, y) {
    const panes = Array.from({ length: this.count }, (_, k) => k);
    const pane = panes.find((k) => holds(this.pane(k), [x, y])) ?? panes[panes.length - 1];
    const { left, top, width, height } = this.image(pane);
    return { pane, x: (x - left) / width, y: (y - top) / height };
  }

  /** Whether a place of the image is inside its pane. */
  shows(at, k) {
    return holds(this.pane(k), this.place(at, k));
  }

  /** The zoom that enlarges by a factor and keeps the place under a point of the canvas there. @returns {Zoom} */
  zoomed(factor, x, y) {
    const at = this.under(x, y);
    const { scale } = allowed({ ...this.zoom, scale: this.zoom.scale * factor });
    if (scale === 1 && factor < 1) return FIT;
    const kept = this.zoom.scale / scale;
    return allowed({ x: at.x - (at.x - this.zoom.x) * kept, y: at.y - (at.y - this.zoom.y) * kept, scale });
  }

  /** The zoom after the image was moved by so many pixels. @returns {Zoom} */
  panned(dx, dy) {
    const { x, y, scale } = this.zoom;
    return allowed({ x: x - dx / this.width, y: y - dy / this.height, scale });
  }
}

const part = (whole, count) => (whole - (count - 1) * GAP) / count;

/** @param {Rectangle} area */
export const holds = ({ left, top, width, height }, [x, y]) =>
  left <= x && x <= left + width && top <= y && y <= top + height;

/** Panes in a row, or in a column if that has far larger images; `fitted` is the scale of an image that fits. */
function arrangement(board, picture, count) {
  const ways = [count, 1].map((columns) => {
    const [width, height] = [part(board.width, columns), part(board.height, count / columns)];
    const pad = Math.min(PAD, 0.08 * Math.min(width, height));
    const fitted = Math.min((width - 2 * pad) / picture.width, (height - 2 * pad) / picture.height);
    return { columns, fitted: Math.max(1e-3, fitted) };
  });
  return WORTH * ways[0].fitted >= ways[1].fitted ? ways[0] : ways[1];
}
