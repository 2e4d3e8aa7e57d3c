// Links from the panel to the canvas and to the figures.
import { button, make } from "../../dom.js";
import { itemName } from "../../link/hover.js";

/**
 * A query or object by its name; a click chooses it on the canvas.
 * @param {import("../../types.js").App} app
 * @param {import("./types.js").ItemLink} item
 */
export function itemLink(app, { side, index, role }, text) {
  const onclick = () => app.stage.choose({ side, index });
  const attributes = { class: `dd-link ${role}`, type: "button", "data-item": itemName({ side, index }) };
  return make("button", { ...attributes, title: "Select it on the image", onclick }, text);
}

const FIGURE = "A figure for print that explains this image";
const UPLOADED = "Figures are made of the run’s own images; this one was uploaded";

/** @param {import("../../types.js").App} app */
export function figureButton(app) {
  const uploaded = app.stage.scene().key.startsWith("upload/");
  const says = uploaded ? UPLOADED : FIGURE;
  return button("Make a figure", () => app.figure("image"), { title: says, disabled: uploaded });
}
