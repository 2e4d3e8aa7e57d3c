// Paints the board: anew after a change of what is shown, and cheaply while it is zoomed or moved.
import { draw } from "../dom.js";
import { paintBoard, prepare } from "./paint/canvas.js";
import { densities } from "./paint/density.js";
import { hoverNodes, overlayNodes } from "./paint/overlay.js";
import { fillFrame, placePanes, showHeat } from "./paint/panes.js";

/**
 * @param {import("./scene/model.js").Model} model
 * @param {ReturnType<typeof import("./board.js").boardNodes>} nodes
 */
export function painter(model, { board, frame, canvas, overlay }) {
  /** @type {import("./paint/canvas.js").Drawn} */
  let drawn = { items: [], pairs: [], dim: false };
  let labels = { shown: 0, all: 0 };
  const hovered = draw("g", { class: "dd-hovered" });
  let waiting = 0;

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
    model.size = { width: board.clientWidth, height: board.clientHeight };
    model.aim();
    placePanes(frame, model);
    overlay.classList.toggle("zoomed", model.view.zoom.scale > 1);
    paintBoard(prepare(canvas, model.size), model, drawn);
    const over = overlayNodes(model);
    labels = over.labels;
    overlay.replaceChildren(...over.nodes, hovered);
    paintHover();
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

  /** At most once a frame; what asks where the image is knows at once. */
  function repaintSoon(done) {
    model.aim();
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => {
      repaint();
      done();
    });
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
