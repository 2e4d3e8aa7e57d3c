// Paints the board: anew after a change of what is shown, and cheaply while it is zoomed or moved.
import { draw } from "../dom.js";
import { paintBoard, prepare } from "./paint/canvas.js";
import { densities } from "./paint/density.js";
import { followBoxes } from "./paint/labels.js";
import { hoverNodes, overlayLabels, overlayNodes } from "./paint/overlay.js";
import { fillFrame, placePanes, showHeat } from "./paint/panes.js";

const REST = 120; // milliseconds without a change after which a gesture is at rest

/**
 * @param {import("./scene/model.js").Model} model
 * @param {ReturnType<typeof import("./board.js").boardNodes>} nodes
 */
export function painter(model, { board, frame, canvas, overlay }) {
  /** @type {import("./paint/canvas.js").Drawn} */
  let drawn = { items: [], pairs: [], dim: false };
  /** @type {import("./paint/labels.js").Labels} */
  let labels = { nodes: [], anchored: [], shown: 0, all: 0 };
  const [shapes, named, hovered] = ["dd-shapes", "dd-named", "dd-hovered"].map((name) => draw("g", { class: name }));
  overlay.replaceChildren(shapes, named, hovered);
  let waiting = 0;
  let resting = 0;

  /** Finds what is visible, and paints it. */
  function paint() {
    model.update();
    const { items, pairs, near } = model.visible;
    const chosen = model.chosen;
    drawn = {
      items: chosen ? items.filter((item) => item !== chosen && !near.has(item)) : items,
      pairs: pairs.filter((pair) => !pair.ends),
      dim: Boolean(chosen),
    };
    if (model.hovered) model.hovered = model.current.find(model.hovered);
    repaint();
  }

  /** Paints what was visible where it is now. */
  function repaint() {
    cancelAnimationFrame(waiting);
    clearTimeout(resting);
    model.size = { width: board.clientWidth, height: board.clientHeight };
    model.aim();
    labels = overlayLabels(model);
    named.replaceChildren(...labels.nodes);
    paintImage();
  }

  /** Paints all but the labels. */
  function paintImage() {
    placePanes(frame, model);
    overlay.classList.toggle("zoomed", model.view.zoom.scale > 1);
    paintBoard(prepare(canvas, model.size), model, drawn);
    shapes.replaceChildren(...overlayNodes(model));
    paintHover();
  }

  /** Paints a frame of a gesture, in which labels keep their place beside their boxes. */
  function paintFrame() {
    followBoxes(model, labels.anchored);
    paintImage();
  }

  function paintHover() {
    hovered.replaceChildren(...hoverNodes(model));
  }

  function arrange() {
    model.arrange();
    model.aim();
    fillFrame(frame, model);
    frame.classList.toggle("panes-apart", model.layout.names.length > 1);
    paintHeat();
  }

  function paintHeat() {
    showHeat(frame, model);
  }

  /** Paints at most once a frame, and labels anew at rest; what asks where the image is knows at once. */
  function repaintSoon(done) {
    model.aim();
    cancelAnimationFrame(waiting);
    clearTimeout(resting);
    waiting = requestAnimationFrame(paintFrame);
    resting = setTimeout(() => {
      repaint();
      done();
    }, REST);
  }

  return {
    paint,
    repaint: repaintSoon,
    paintHover,
    paintHeat,
    arrange,
    drawn: () => drawn,
    labels: () => labels,
    density: () => (model.options.look === "density" ? densities(model)[0].most : null),
  };
}
