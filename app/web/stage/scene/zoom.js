// How far the canvas is zoomed in, and on what place of the image.

/**
 * `x` and `y` are the place in the middle of each pane, in fractions of the image; `scale` is 1 where the image fits.
 * @typedef {{x: number, y: number, scale: number}} Zoom
 */

/** @type {Zoom} */
export const FIT = { x: 0.5, y: 0.5, scale: 1 };
const MOST = 40;

const between = (low, value, high) => Math.max(low, Math.min(high, value));

/** The zoom nearest to a wanted one that still shows something of the image. */
export function allowed({ x, y, scale }) {
  return { x: between(0, x, 1), y: between(0, y, 1), scale: between(1, scale, MOST) };
}

/** A zoom as the address has it: "" for a whole image. @param {Zoom} zoom */
export function write({ x, y, scale }) {
  const text = [x.toFixed(4), y.toFixed(4), scale.toFixed(3)].map(Number).join();
  return text === "0.5,0.5,1" ? "" : text;
}

/** @param {string} text @returns {Zoom} */
export function read(text) {
  if (!text) return FIT;
  const [x, y, scale] = text.split(",").map(Number);
  return allowed({ x, y, scale });
}
