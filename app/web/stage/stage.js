// The image under its boxes, which every view of one image shares.
// A scene holds all layers, so the slider needs no server.
import { draw, make } from "../dom.js";
import { controls } from "./controls.js";
import { listen } from "./input.js";
import { legendRows } from "./legend.js";
import { emptySentence, fillBanner, noteNodes } from "./notes.js";
import { paintCanvas, RIM } from "./paint/canvas.js";
import { overlayNodes } from "./paint/overlay.js";
import { fillFrame, showHeat } from "./paint/panes.js";
import { sampling } from "./sampling.js";
import { Model } from "./scene/model.js";

/** Keys of the state on which the canvas depends. */
const DRAWN = ["layer", "side", "index", "floor", "top", "only", "names", "apart", "reads", "show", "hide"];
const KEYS = "Arrow keys go from box to box, Page up and Page down from layer to layer, Escape clears the selection.";

/**
 * Builds the canvas in its host.
 * @param {HTMLElement} host
 * @param {import("../types.js").App} app
 */
export function stage(host, app) {
  const model = new Model(app.state);
  const canvas = make("canvas", { class: "dd-many", "aria-hidden": "true", style: `inset:-${RIM}px` });
  const label = `Boxes over the image. ${KEYS}`;
  const overlay = draw("svg", { class: "dd-overlay", tabindex: 0, role: "application", "aria-label": label });
  const legend = make("div", { class: "dd-legend" });
  const frame = make("div", { class: "dd-frame" });
  const banner = make("p", { class: "dd-banner", hidden: true });
  const waiting = make("div", { class: "dd-wait", "aria-live": "polite" });
  const notes = make("div", { class: "dd-notes" });
  const empty = make("p", { class: "dd-note dd-empty", role: "status", hidden: true });
  const live = make("p", { class: "dd-live", "aria-live": "polite" });
  const tip = listen(overlay, model, { choose, setLayer });
  const locations = sampling(model, app, paint);
  const panel = controls(model, { setLayer, change: app.state.set });

  // Drawing ---------------------------------------------------------------------------------------------------------

  function paint() {
    if (!model.scene) return;
    model.size = { width: overlay.clientWidth, height: overlay.clientHeight };
    model.update();
    const { items, pairs, near } = model.visible;
    const chosen = model.chosen;
    const drawn = {
      items: chosen ? items.filter((item) => item !== chosen && !near.has(item)) : items,
      pairs: pairs.filter((pair) => !pair.ends),
      dim: Boolean(chosen),
    };
    paintCanvas(canvas, model, drawn);
    overlay.replaceChildren(...overlayNodes(model));
    report(drawn);
  }

  /** Says in the page what is drawn, for people and for programs that drive it. */
  function report(drawn) {
    panel.update();
    for (const node of legend.querySelectorAll("[data-toggle]"))
      node.querySelector("input").checked = model.isShown(node.getAttribute("data-toggle"));
    for (const node of legend.querySelectorAll("[data-count]"))
      node.textContent = String(model.count(node.getAttribute("data-count")));
    empty.textContent = emptySentence(model);
    empty.hidden = !empty.textContent;
    const { key } = model.scene;
    Object.assign(host.dataset, { key, layer: model.layer, boxes: model.visible.items.length });
    Object.assign(host, { drawn });
  }

  function paintHeat() {
    host.classList.toggle("heated", Boolean(model.heat));
    showHeat(frame, model);
  }

  function arrange() {
    model.arrange();
    fillFrame(frame, model, [canvas, overlay, tip]);
    paintHeat();
  }

  // What is chosen and switched -------------------------------------------------------------------------------------

  /** @param {{side: string, index: number} | null} item */
  function choose(item) {
    app.state.set(item ? { side: item.side, index: item.index } : { side: "", index: 0 });
    live.textContent = model.chosen ? model.describe(model.chosen) : "Nothing selected";
  }

  function setLayer(layer) {
    app.state.set({ layer: Math.max(0, Math.min(model.scene.layers - 1, layer)) });
  }

  // What is shown ---------------------------------------------------------------------------------------------------

  /** Shows the image at once, with its objects: no detector has run yet. */
  function showImage(picture) {
    panel.stop();
    model.picture = picture;
    const empty = { layers: 1, lines: [], notes: [], banner: "" };
    showPart({ ...empty, key: picture.key, groups: [picture.truth], partial: true });
  }

  /** Shows the boxes of the detectors that are done. */
  function showBoxes(groups) {
    const layers = Math.max(...groups.map((group) => group.layers.length));
    showPart({ ...model.scene, layers, groups: [...groups, model.picture.truth], lines: [], partial: true });
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
    arrange();
    panel.offer();
    fillBanner(scene, banner, (image) => app.state.set({ image, side: "", index: 0 }));
    notes.replaceChildren(...noteNodes(scene));
    paint();
  }

  /** Shows a map under the boxes, painted by `painter` on a canvas; side by side it is over one side's image. */
  function setHeat(painter, side) {
    const switched = Boolean(model.heat) !== Boolean(painter);
    model.heat = painter && { painter, side };
    paintHeat();
    if (switched) paint();
  }

  /** Says what is being waited for; "" for nothing. */
  function wait(text) {
    waiting.textContent = text;
    host.classList.toggle("waiting", Boolean(text));
  }

  new ResizeObserver(() => {
    if (overlay.clientWidth !== model.size.width || overlay.clientHeight !== model.size.height) paint();
  }).observe(overlay);
  const board = make("div", { class: "dd-board" }, frame, waiting, banner);
  host.replaceChildren(legend, board, empty, panel.node, locations.node, notes, live);
  app.state.watch((_, changed) => {
    if (!model.scene || !DRAWN.some((key) => changed.has(key))) return;
    if (changed.has("apart")) arrange();
    if (changed.has("reads")) locations.follow();
    else locations.load();
    paint();
  });
  return {
    showImage,
    showBoxes,
    showScene,
    setHeat,
    wait,
    choose,
    setLayer,
    layer: () => model.layer,
    chosen: () => model.chosen,
    scene: () => model.scene,
    picture: () => model.picture,
  };
}
