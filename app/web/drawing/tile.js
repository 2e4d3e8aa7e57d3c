// A small picture of a map over the dimmed image, with a caption.
import { help, make } from "../dom.js";
import { paintHeat } from "./heat.js";

/**
 * @typedef {object} Caption
 * @property {string} title
 * @property {string} [id]
 * @property {string} [says] an explanation
 * @property {string} [equation]
 * @property {string} [note] below the title
 * @property {number} [top] the value of the brightest colour, by default the map's own largest
 * @property {Node} [bar] the scale of its colours
 * @property {boolean} [chosen]
 * @property {() => void} [onclick]
 */

/** Smaller images are enlarged without smoothing. */
const COARSE = 240; // pixels

/** @param {import("../stage/scene/types.js").Picture} picture */
export const coarse = (picture) => (picture.width < COARSE ? "coarse" : "");

/**
 * @param {import("../stage/scene/types.js").Picture} picture
 * @param {import("../types.js").Heat | null} heat the image alone if null
 * @param {Caption} caption
 */
export function tile(picture, heat, { title, says, equation, note, top, bar, chosen, id, onclick }) {
  const canvas = heat && make("canvas", { class: "dd-heat" });
  if (heat) paintHeat(heat, canvas, top);
  const image = make("img", {
    src: picture.image,
    alt: "",
    draggable: "false",
    class: `${heat ? "dim" : ""} ${coarse(picture)}`,
  });
  const size = `--w:${picture.width};--h:${picture.height}`;
  const face = onclick
    ? make("button", { type: "button", class: "face", style: size, "aria-label": title, onclick }, image, canvas)
    : make("div", { class: "face", style: size }, image, canvas);
  return figure(
    { chosen, id },
    face,
    make("b", null, title),
    says && help(says, equation),
    note && make("small", null, note),
    bar,
  );
}

/** A tile without a picture, which says why. */
export function emptyTile(title, note) {
  return figure({ id: null }, null, make("b", null, title), make("small", null, note));
}

/** @param {{id?: string, chosen?: boolean}} look */
function figure({ id, chosen }, face, ...caption) {
  const attributes = { class: `dd-tile${chosen ? " chosen" : ""}`, "data-tile": id };
  return make("figure", attributes, face, make("figcaption", null, caption));
}
