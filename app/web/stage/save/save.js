// The canvas as it is seen, as a file: SVG, or PNG painted from it.
import { draw } from "../../dom.js";
import { store } from "../../download.js";
import { paintBoard } from "../paint/canvas.js";
import { plain } from "./colour.js";
import { inlined } from "./inline.js";
import { SvgPen } from "./pen.js";

const SHARP = 2; // pixels of a PNG for one of the page
const DIM = "filter:grayscale(1) brightness(.55)";

/**
 * @typedef {object} Seen
 * @property {HTMLElement} board
 * @property {HTMLElement} frame
 * @property {SVGElement} overlay
 * @property {import("../paint/canvas.js").Drawn} drawn
 */

/**
 * Stores the canvas as a file named after the image and the layer.
 * @param {import("../scene/model.js").Model} model
 * @param {Seen} seen
 * @param {"png" | "svg"} form
 */
export async function saveCanvas(model, seen, form) {
  const text = new XMLSerializer().serializeToString(canvasAsSvg(model, seen));
  const svg = new Blob([text], { type: "image/svg+xml" });
  const name = `${model.scene.key.replace(/[^a-z0-9-]+/gi, "_")}_layer${model.layer + 1}.${form}`;
  store(form === "svg" ? svg : await painted(svg, model.size), name);
}

/** @param {Seen} seen @returns {SVGElement} */
function canvasAsSvg(model, { board, frame, overlay, drawn }) {
  const { width, height } = model.size;
  const root = draw("svg", { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` });
  const ground = plain(getComputedStyle(board).backgroundColor).colour;
  const pen = new SvgPen();
  paintBoard(/** @type {any} */ (pen), model, drawn);
  root.append(draw("rect", { width, height, fill: ground }), ...imageNodes(model, frame), pen.node);
  root.append(...[...overlay.children].map(inlined));
  return root;
}

/** The images of all panes, with the maps over them. */
function imageNodes({ view }, frame) {
  return [...frame.children].map((node, k) => {
    const { left: x, top: y, width, height } = view.image(k);
    const place = { x, y, preserveAspectRatio: "none" };
    const image = node.querySelector("img");
    const rendering = `image-rendering:${getComputedStyle(image).imageRendering}`;
    const style = node.classList.contains("hot") ? `${rendering};${DIM}` : rendering;
    const heat = node.querySelector(".dd-heat:not([hidden])");
    const span = heat && [heat.style.width, heat.style.height].map((part) => Number.parseFloat(part) / 100);
    return draw(
      "g",
      { "clip-path": `url(#dd-pane-${k})` },
      draw("image", { href: image.src, ...place, width, height, style }),
      heat && draw("image", { href: heat.toDataURL(), ...place, width: width * span[0], height: height * span[1] }),
      title(node.querySelector("b"), view.pane(k)),
    );
  });
}

function title(node, { left, top }) {
  if (!node) return null;
  const style = "font:600 12px system-ui,sans-serif;fill:#fff;paint-order:stroke;stroke:#000;stroke-width:3px";
  return draw("text", { x: left + 12, y: top + 20, style }, node.textContent);
}

/** @param {Blob} svg */
async function painted(svg, { width, height }) {
  const address = URL.createObjectURL(svg);
  try {
    const image = Object.assign(new Image(), { src: address });
    await image.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: SHARP * width, height: SHARP * height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((done) => canvas.toBlob(done, "image/png"));
  } finally {
    URL.revokeObjectURL(address);
  }
}
