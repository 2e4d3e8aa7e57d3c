// Links from the panel to the canvas and to the figures.
import { button, make } from "../../dom.js";

/**
 * A query or object by its name; a click chooses it on the canvas.
 * @param {import("../../types.js").App} app
 * @param {import("./types.js").ItemLink} item
 */
export function itemLink(app, { side, index, role }, text) {
  const onclick = () => app.stage.choose({ side, index });
  return make("button", { class: `dd-link ${role}`, type: "button", title: "Select it on the image", onclick }, text);
}

/** @param {import("../../types.js").App} app */
export function figureButton(app) {
  return button("Make a figure", () => app.figure("image"), { title: "A figure for print that explains this image" });
}
