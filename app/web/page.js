// The page: header, tabs, images, and one canvas that the views of an image share.
import { make } from "./dom.js";
import { gallery } from "./gallery/gallery.js";
import { element, upload } from "./gradio.js";
import { header } from "./header.js";
import { checkSelection, fallbacks } from "./link/fallback.js";
import { linkHover } from "./link/hover.js";
import { loader } from "./loading.js";
import { messageLine } from "./message.js";
import { ask } from "./server.js";
import { keepRoom } from "./stage/room.js";
import { stage } from "./stage/stage.js";
import { selection } from "./state.js";
import { PANEL, tabs } from "./tabs.js";
import { tour } from "./tour/tour.js";
import { figuresView } from "./views/figures/figures.js";
import { lossesView } from "./views/losses/losses.js";
import { masksView } from "./views/masks/masks.js";
import { matchesView } from "./views/matches/matches.js";
import { notesView } from "./views/notes/notes.js";
import { overviewView } from "./views/overview/overview.js";
import { stabilityView } from "./views/stability/stability.js";
import { trainView } from "./views/train/train.js";

const VIEWS = [overviewView, matchesView, masksView, stabilityView, lossesView, figuresView, notesView, trainView];

/** The first thing that a key reaches: past the header and the images. */
function skipLink() {
  const focus = () => {
    const all = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".dd-overlay, .dd-full button"));
    [...all].find((node) => node.checkVisibility())?.focus();
  };
  return make("button", { type: "button", class: "dd-button dd-skip", onclick: focus }, "Skip to the image");
}

/** @param {HTMLElement} root */
function page(root) {
  const { state, wrong } = selection();
  const message = messageLine();
  const board = fallbacks();
  const app = /** @type {import("./types.js").App} */ ({
    state,
    root,
    notify: message.show,
    missing: board.say,
    upload: open,
    about: () => images.about(),
    current: () => current().id,
    figure: (name) => state.set({ tab: "figures", figure: name }),
  });
  const names = ["header", "tabs", "gallery", "stage", "switches", "side", "wide", "full"];
  const boxes = Object.fromEntries(names.map((name) => [name, make("div", { class: `dd-${name}` })]));
  const images = loader(app, { onAbout: introduce, onPicture: follow, onScene: showView });

  app.stage = stage(boxes.stage, boxes.switches, app);
  Object.assign(window, { dd: { choose: app.stage.choose } }); // for programs that drive the page
  const guide = tour(app);
  const head = header(boxes.header, app, guide.opener);
  const strip = gallery(boxes.gallery, app);
  const views = VIEWS.map((view) => view(app));
  const tabBar = tabs(boxes.tabs, views, current, (tab) => state.set({ tab }));

  function current() {
    return views.find((view) => view.id === state.get().tab) || views[0];
  }

  /** Names the image that is opened; until its scene is whole, the view beside it is of the image before. */
  function follow(picture) {
    strip.follow(picture);
    fade(true);
  }

  function showView() {
    checkSelection(app);
    loadView();
  }

  /** Loads the current view; it is of the canvas's image once that is done. */
  async function loadView() {
    const scene = app.stage.scene();
    await current().load();
    if (scene && !scene.partial && scene === app.stage.scene()) fade(false);
  }

  /** Shows whether the view beside the canvas is still of another image. */
  function fade(late) {
    for (const box of [boxes.side, boxes.wide]) box.setAttribute("aria-busy", String(late));
  }

  function introduce(about) {
    head.show(about);
    strip.load();
    if (current().full || images.isShown()) loadView();
  }

  /** Puts the current view in its place. */
  function place() {
    const view = current();
    tabBar.mark();
    root.querySelector(`#${PANEL}`)?.setAttribute("aria-labelledby", `dd-tab-${view.id}`);
    for (const name of ["side", "wide", "full"]) boxes[name].replaceChildren(...(view[name] ? [view[name]] : []));
    root.dataset.tab = view.id;
    root.classList.toggle("whole", Boolean(view.full));
    app.stage.setHeat(null);
    fade(true);
  }

  /** Uploads an image and opens it. */
  async function open(file) {
    try {
      const { path } = await upload(file);
      state.set({ image: await ask("upload", { file: { path } }), side: "", index: 0 });
    } catch (error) {
      message.show(error.message);
    }
  }

  function update(_, changed) {
    if (changed.has("tab")) place();
    if (changed.has("run")) return images.load(true); // which loads the view once it has something to show
    if (changed.has("image") || changed.has("compare")) images.load(false);
    if (changed.has("tab")) loadView();
    else if ((current().needs || []).some((key) => changed.has(key))) current().load(changed);
  }

  const column = make("div", { class: "dd-column" }, strip.filters, boxes.switches, boxes.side);
  const bar = make("div", { class: "dd-bar-of-tabs" }, boxes.tabs, head.facts);
  const main = make("div", { class: "dd-main" }, boxes.stage, column, boxes.wide);
  const panel = make("div", { class: "dd-view", role: "tabpanel", id: PANEL }, boxes.gallery, main, boxes.full);
  root.replaceChildren(skipLink(), boxes.header, board.node, guide.node, bar, panel, message.node);
  for (const name of ["dragover", "drop"]) boxes.stage.addEventListener(name, (event) => event.preventDefault());
  boxes.stage.addEventListener("drop", ({ dataTransfer: { files } }) => files[0] && open(files[0]));
  linkHover(root, app.stage.hover);
  keepRoom(root, [boxes.header, board.node, guide.node, bar, boxes.gallery]);
  place();
  const first = Promise.resolve(current().load());
  state.watch(update);
  if (wrong.length) board.say(`The link asks for ${wrong.join(", ")}, which this page does not know.`);
  // What fills the page comes before the image behind it, whose networks would slow it down.
  if (current().full) first.finally(() => images.load(true));
  else images.load(true);
  head.list();
}

page(element.querySelector(".dd-page"));
