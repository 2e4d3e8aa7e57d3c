// The images under the boxes: one, or one for each detector, each with a canvas for a map over it.
import { make } from "../../dom.js";
import { coarse } from "../../drawing/tile.js";

/** @typedef {import("../scene/model.js").Model} Model */

/**
 * Fills the frame with a pane for each name of the layout, and with what lies above all panes.
 * @param {HTMLElement} frame
 * @param {Model} model
 * @param {Node[]} above
 */
export function fillFrame(frame, model, above) {
  const { names, width } = model.layout;
  frame.className = `dd-frame panes-${names.length}`;
  frame.style.setProperty("--w", String(model.picture.width / width));
  frame.style.setProperty("--h", String(model.picture.height));
  const panes = names.map((name) => pane(model.picture, names.length > 1 ? model.group(name).title : ""));
  frame.replaceChildren(...panes, ...above);
}

function pane(picture, title) {
  const image = { src: picture.image, alt: picture.name, draggable: "false", class: coarse(picture) };
  const heat = make("canvas", { class: "dd-heat", hidden: true });
  return make("div", { class: "dd-pane" }, make("img", image), heat, title && make("b", null, title));
}

/**
 * Paints the model's map, if there is one: on the only pane, or on that of the map's side.
 * @param {HTMLElement} frame
 * @param {Model} model
 */
export function showHeat(frame, { heat, layout }) {
  frame.querySelectorAll(".dd-pane").forEach((node, k) => {
    const canvas = /** @type {HTMLCanvasElement} */ (node.querySelector(".dd-heat"));
    const hot = Boolean(heat) && (layout.names.length === 1 || layout.paneOf(heat.side) === k);
    canvas.hidden = !hot;
    node.classList.toggle("hot", hot);
    if (hot) heat.painter(canvas);
  });
}
