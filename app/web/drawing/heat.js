// Maps over an image: a byte for each place, painted on a canvas.
import { percent } from "../dom.js";
import { SHADES } from "./colours.js";

const decoded = new WeakMap(); // bytes by map

function bytes(heat) {
  if (!decoded.has(heat)) decoded.set(heat, decode(heat.grid));
  return decoded.get(heat);
}

/** The bytes of a base64 text. */
export const decode = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/**
 * Paints a map on a canvas that lies over the image; a map may reach beyond the image's right and lower edge.
 * @param {import("../types.js").Heat} heat
 * @param {HTMLCanvasElement} canvas
 * @param {number} top the value of the brightest colour: maps of one `top` can be compared
 */
export function paintHeat(heat, canvas, top = heat.most) {
  const scale = top > 0 ? Math.min(1, heat.most / top) : 1;
  canvas.width = heat.columns;
  canvas.height = heat.rows;
  canvas.style.width = percent(heat.span[0]);
  canvas.style.height = percent(heat.span[1]);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(heat.columns, heat.rows);
  bytes(heat).forEach((value, k) => {
    pixels.data.set(SHADES[Math.round(scale * value)], 4 * k);
  });
  context.putImageData(pixels, 0, 0);
  canvas.dataset.most = String(heat.most);
  canvas.dataset.top = String(top);
}
