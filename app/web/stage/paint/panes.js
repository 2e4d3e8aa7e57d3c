// The images under the boxes: one, or one for each detector, each with a canvas for a map over it.
import { make } from "../../dom.js";
import { coarse } from "../../drawing/tile.js";

/** @typedef {import("../scene/model.js").Model} Model */

/**
 * Fills the frame with a pane for each name of the layout.
 * @param {HTMLElement} frame
 * @param {Model} model
 */
export function fillFrame(frame, model) {
  const { names } = model.layout;
  frame.replaceChildren(...names.map((name) => pane(model.picture, names.length > 1 ? model.group(name).title : "")));
}

function pane(picture, title) {
  const image = { src: picture.image, alt: picture.name, draggable: "false", class: coarse(picture) };
  const heat = make("canvas", { class: "dd-heat", hidden: true });
  const plane = make("div", { class: "dd-plane" }, make("img", image), heat);
  return make("div", { class: "dd-pane" }, plane, title && make("b", null, title));
}

/**
 * Puts the panes and their images where the view has them.
 * @param {HTMLElement} frame
 * @param {Model} model
 */
export function placePanes(frame, { view }) {
  [...frame.children].forEach((node, k) => {
    const pane = view.pane(k);
    const image = view.image(k);
    put(/** @type {HTMLElement} */ (node), pane, 1);
    const plane = /** @type {HTMLElement} */ (node.querySelector(".dd-plane"));
    put(plane, { ...image, left: image.left - pane.left, top: image.top - pane.top }, view.zoom.scale);
  });
}

/** Only a transform differs between the frames of a gesture: nothing is laid out anew. */
function put({ style }, { left, top, width, height }, scale) {
  style.width = `${width / scale}px`;
  style.height = `${height / scale}px`;
  style.transform = `translate(${left}px, ${top}px) scale(${scale})`;
}

/**
 * Paints the model's map, if there is one: on the only pane, or on that of the map's side.
 * @param {HTMLElement} frame
 * @param {Model} model
 */
export function showHeat(frame, { heat, layout, options }) {
  frame.querySelectorAll(".dd-pane").forEach((node, k) => {
    const canvas = /** @type {HTMLCanvasElement} */ (node.querySelector(".dd-heat"));
    const hot = Boolean(heat) && (layout.names.length === 1 || layout.paneOf(heat.side) === k);
    canvas.hidden = !hot;
    node.classList.toggle("hot", hot || options.look === "density");
    if (hot) heat.painter(canvas);
  });
}
