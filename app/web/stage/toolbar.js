// Over the canvas: nearer, farther, fit, full screen, and the canvas as a file; and what its labels leave out.
import { make } from "../dom.js";
import { colourBar } from "../drawing/colour_bar.js";

/**
 * @typedef {object} Actions
 * @property {import("./input/gestures.js").Camera} camera
 * @property {() => void} fill the screen, or no longer
 * @property {(form: "png" | "svg") => void} save
 */

/**
 * @param {import("./scene/model.js").Model} model
 * @param {Actions} actions
 */
export function toolbar(model, { camera, fill, save }) {
  const says = make("p", { class: "dd-left-out", role: "status" });
  const scale = make("output", { class: "dd-scale", "aria-label": "Zoom" });
  const tool = (text, name, onclick, id) =>
    make(
      "button",
      { type: "button", class: "dd-tool", "aria-label": name, title: name, "data-tool": id, onclick },
      text,
    );
  const buttons = [
    tool("−", "Zoom out (−)", camera.farther, "farther"),
    scale,
    tool("+", "Zoom in (+); the wheel does too", camera.nearer, "nearer"),
    tool("Fit", "Show the whole image (0)", camera.fit, "fit"),
    tool("Full screen", "Only the canvas (F)", fill, "fill"),
    tool("PNG", "Save the canvas as you see it, as PNG", () => save("png"), "png"),
    tool("SVG", "Save the canvas as you see it, as SVG", () => save("svg"), "svg"),
  ];
  const bar = make("div", { class: "dd-tools", role: "toolbar", "aria-label": "Canvas" }, buttons);

  /**
   * @param {{shown: number, all: number}} labels of the boxes in view
   * @param {number | null} density the largest number of boxes over one place
   */
  function update(labels, density) {
    scale.textContent = `${Math.round(100 * model.view.zoom.scale)}%`;
    says.replaceChildren(...leftOut(labels), ...(density ? [colourBar(density, "boxes over a place")] : []));
    says.hidden = !says.childNodes.length;
  }

  new ResizeObserver(() => {
    model.buttons = bar.offsetWidth;
  }).observe(bar);

  return { nodes: [says, bar], update };
}

/** The rule that thins the labels, where some have no room. */
function leftOut({ shown, all }) {
  if (shown === all) return [];
  const rule = "Labels go to the objects first, then to the highest scores, as long as there is room.";
  return [make("span", { title: rule }, `${all - shown} of ${all} labels hidden (lowest scores): zoom in`)];
}
