// The nodes of the canvas: images, hundreds of boxes on a canvas over them, the chosen ones as SVG over that.
import { draw, make } from "../dom.js";
import { KEYS } from "./input/keys.js";

export function boardNodes() {
  const label = `Boxes over the image. ${KEYS}`;
  const frame = make("div", { class: "dd-frame" });
  const canvas = make("canvas", { class: "dd-many", "aria-hidden": "true" });
  const overlay = draw("svg", { class: "dd-overlay", tabindex: 0, role: "application", "aria-label": label });
  const waiting = make("div", { class: "dd-wait", "aria-live": "polite" });
  const banner = make("p", { class: "dd-banner", hidden: true });
  const empty = make("p", { class: "dd-empty", role: "status", hidden: true });
  const live = make("p", { class: "dd-live", "aria-live": "polite" });
  const says = make("div", { class: "dd-says-over" }, banner, empty);
  const board = make("div", { class: "dd-board" }, frame, canvas, overlay, says, waiting);
  return { board, frame, canvas, overlay, waiting, banner, empty, live };
}
