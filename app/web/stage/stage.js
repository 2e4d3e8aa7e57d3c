// The image under its boxes, which every view of one image shares.
// A scene holds all layers, so the slider needs no server.
import { make } from "../dom.js";
import { watchTheme } from "../drawing/colours.js";
import { itemName, markItem } from "../link/hover.js";
import { boardNodes } from "./board.js";
import { filters } from "./filters.js";
import { gestures } from "./input/gestures.js";
import { listenToKeys } from "./input/keys.js";
import { listen } from "./input/pointer.js";
import { layerSlider } from "./layers.js";
import { legendRows } from "./legend.js";
import { emptySentence, fillBanner, noteNodes } from "./notes.js";
import { painter } from "./painter.js";
import { sampling } from "./sampling.js";
import { saveCanvas } from "./save/save.js";
import { Model } from "./scene/model.js";
import { toolbar } from "./toolbar.js";

/** Keys of the state on which the canvas depends, besides its zoom. */
const DRAWN = ["layer", "side", "index", "floor", "top", "only", "names", "apart", "reads", "look", "show", "hide"];

/**
 * Builds the canvas in its host, and what switches its boxes in another.
 * @param {HTMLElement} host
 * @param {HTMLElement} switches
 * @param {import("../types.js").App} app
 */
export function stage(host, switches, app) {
  const model = new Model(app.state);
  const nodes = boardNodes();
  const { board, overlay, banner, waiting, live, empty } = nodes;
  const legend = make("div", { class: "dd-legend" });
  const notes = make("div", { class: "dd-notes" });
  const drawing = painter(model, nodes);
  const camera = gestures(overlay, model, (zoom) => app.state.set({ zoom }));
  const locations = sampling(model, app, paint);
  const layers = layerSlider(model, setLayer);
  const restrict = filters(model, app.state.set);
  const tools = toolbar(model, { camera, fill, save });
  const tip = listen(board, overlay, model, { choose, hover, isMoving: camera.isMoving });
  listenToKeys(overlay, model, { choose, setLayer, camera, fill });

  function paint() {
    if (!model.scene) return;
    drawing.paint();
    report();
  }

  /** Says in the page what is drawn, for people and for programs that drive it. */
  function report() {
    layers.update();
    restrict.update();
    tools.update(drawing.labels(), drawing.density());
    for (const node of legend.querySelectorAll("[data-toggle]"))
      node.querySelector("input").checked = model.isShown(node.getAttribute("data-toggle"));
    for (const node of legend.querySelectorAll("[data-count]"))
      node.textContent = model.count(node.getAttribute("data-count"));
    empty.textContent = emptySentence(model);
    empty.hidden = !empty.textContent;
    const { key } = model.scene;
    Object.assign(host.dataset, { key, layer: model.layer, boxes: model.visible.items.length });
    Object.assign(host, { drawn: drawing.drawn() });
  }

  /** The zoom alone is another. */
  function repaint() {
    drawing.repaint(() => tools.update(drawing.labels(), drawing.density()));
  }

  // What is chosen and switched -------------------------------------------------------------------------------------

  /** @param {{side: string, index: number} | null} item */
  function choose(item) {
    app.state.set(item ? { side: item.side, index: item.index } : { side: "", index: 0 });
    live.textContent = model.chosen ? model.describe(model.chosen) : "Nothing selected";
  }

  /** @param {{side: string, index: number} | null} item under the mouse, here or beside the canvas */
  function hover(item) {
    const now = item && model.current ? model.current.find(item) : null;
    if (now === model.hovered) return;
    model.hovered = now;
    drawing.paintHover();
    markItem(app.root, now);
    host.dataset.hovered = now ? itemName(now) : "";
  }

  function setLayer(layer) {
    app.state.set({ layer: Math.max(0, Math.min(model.scene.layers - 1, layer)) });
  }

  /** Gives the canvas the whole screen, or takes it back. */
  async function fill() {
    try {
      await (document.fullscreenElement ? document.exitFullscreen() : host.requestFullscreen());
    } catch {
      app.notify("The browser does not let the page fill the screen.");
    }
  }

  function save(form) {
    if (!model.scene) return;
    saveCanvas(model, { ...nodes, drawn: drawing.drawn() }, form).catch((error) => app.notify(error.message));
  }

  // What is shown ---------------------------------------------------------------------------------------------------

  /** Shows the image at once, with its objects: no detector has run yet. */
  function showImage(picture) {
    layers.stop();
    model.picture = picture;
    const nothing = { layers: 1, lines: [], notes: [], banner: "" };
    showPart({ ...nothing, key: picture.key, groups: [picture.truth], partial: true });
  }

  /** Shows the boxes of the detectors that are done. */
  function showBoxes(groups) {
    const count = Math.max(...groups.map((group) => group.layers.length));
    showPart({ ...model.scene, layers: count, groups: [...groups, model.picture.truth], lines: [], partial: true });
  }

  function showScene(scene) {
    showPart(scene);
    host.dataset.whole = scene.key;
    locations.load();
  }

  function showPart(scene) {
    model.show(scene);
    delete host.dataset.whole;
    legend.replaceChildren(...legendRows(model, (id, on) => model.toggle(id, on)));
    drawing.arrange();
    for (const part of [layers, restrict]) part.offer();
    fillBanner(scene, banner, (image) => app.state.set({ image, side: "", index: 0 }));
    notes.replaceChildren(...noteNodes(scene));
    paint();
  }

  /** Shows a map under the boxes, painted by `painter` on a canvas; side by side it is over one side's image. */
  function setHeat(painter, side) {
    const switched = Boolean(model.heat) !== Boolean(painter);
    model.heat = painter && { painter, side };
    host.classList.toggle("heated", Boolean(model.heat));
    drawing.paintHeat();
    if (switched) paint();
  }

  /** Says what is being waited for; "" for nothing. */
  function wait(text) {
    waiting.textContent = text;
    host.classList.toggle("waiting", Boolean(text));
  }

  new ResizeObserver(() => {
    if (board.clientWidth !== model.size.width || board.clientHeight !== model.size.height) paint();
  }).observe(board);
  document.fonts.addEventListener("loadingdone", paint); // labels were measured in another font
  watchTheme(paint);
  board.append(tip, ...tools.nodes);
  const strip = make("div", { class: "dd-strip" }, layers.node, restrict.below);
  host.replaceChildren(board, strip, live);
  switches.replaceChildren(legend, restrict.beside, locations.node, notes);
  app.state.watch((_, changed) => {
    if (!model.scene) return;
    if (!DRAWN.some((key) => changed.has(key))) return changed.has("zoom") && repaint();
    if (changed.has("apart")) drawing.arrange();
    if (changed.has("look")) drawing.paintHeat();
    if (changed.has("reads")) locations.follow();
    else locations.load();
    paint();
  });
  return {
    ...{ showImage, showBoxes, showScene, setHeat, wait, choose, hover, setLayer },
    layer: () => model.layer,
    chosen: () => model.chosen,
    scene: () => model.scene,
    picture: () => model.picture,
  };
}
