// Which run, which other run to compare it with, what they are, and the upload of an image.

import { make } from "./dom.js";
import { NO_FILTERS } from "./gallery/filters/range.js";
import { copyLinkButton } from "./link/copy.js";
import { ask } from "./server.js";

const FRESH = 3000; // milliseconds for which the list of runs is not asked for again
const FILES = ".jpg,.jpeg,.png,.webp,.bmp,.tif,.tiff";

/** @typedef {import("./types.js").About} About */
/** @typedef {import("./types.js").Detector} Detector */
/** @typedef {{id: string, ap: number | null, lacks: string}} Run `lacks` says why it cannot be opened */

const points = (ap) => (100 * ap).toFixed(1);

/**
 * @param {HTMLElement} host
 * @param {import("./types.js").App} app
 * @param {Node} guide opens the tour
 */
export function header(host, app, guide) {
  const facts = make("div", { class: "dd-facts" });
  const notes = make("div", { class: "notes" });
  const main = picker("Run", "run", app, list);
  const other = picker("Compare with", "compare", app, list);
  let listed = 0;
  /** @type {Run[]} */
  let runs = [];

  async function list() {
    if (Date.now() - listed < FRESH) return;
    listed = Date.now();
    try {
      runs = (await ask("runs")).runs;
      offer();
    } catch (error) {
      app.notify(error.message);
    }
  }

  /** Offers the runs; a run is not compared with itself. */
  function offer() {
    const options = runs.map((run) => ({ id: run.id, title: titleOf(run), off: Boolean(run.lacks) }));
    main.offer(options);
    other.offer([{ id: "", title: "none" }, ...options.filter(({ id }) => id !== app.state.get().run)]);
  }

  /** @param {About} about */
  function show(about) {
    const teacher = about.teacher ? describe(about.teacher) : "none: trained on the truth alone";
    facts.replaceChildren(fact("Student", describe(about.student)), fact("Teacher", teacher));
    notes.replaceChildren(...about.notes.map((note) => make("p", { class: "dd-note" }, note)));
  }

  const title = make("h1", null, "DETRDistill");
  const space = make("span", { class: "grow" });
  const line = make(
    "div",
    { class: "line" },
    title,
    main.label,
    other.label,
    space,
    guide,
    copyLinkButton(app),
    uploadButton(app),
    shadeButton(),
  );
  host.replaceChildren(line, notes);
  for (const one of [main, other]) one.sync();
  app.state.watch((_, changed) => {
    if (!changed.has("run") && !changed.has("compare")) return;
    if (runs.length) offer();
    for (const one of [main, other]) one.sync();
  });
  return { show, list, facts };
}

/** @param {Run} run */
function titleOf({ id, ap, lacks }) {
  if (lacks) return `${id} (${lacks})`;
  return ap === null ? id : `${id} · AP ${points(ap)}`;
}

/** @param {Detector} detector */
function describe({ kind, backbone, layers, queries, ap }) {
  const on = backbone === null ? "" : `, ${backbone}`;
  return `${kind}${on}, ${layers} layers, ${queries} queries${ap === null ? "" : `, AP ${points(ap)}`}`;
}

const fact = (name, text) => make("span", null, make("b", null, name), text);

/** The choice of a run; the list of runs is asked for when it opens. */
function picker(title, key, app, list) {
  const onchange = () => pick(app.state, key, select.value);
  const select = make("select", { "aria-label": title, onchange, onpointerdown: list, onfocus: list });

  function offer(options) {
    const value = app.state.get()[key];
    const all = options.some(({ id }) => id === value) ? options : [{ id: value, title: value }, ...options];
    const texts = all.map(({ id, title }) => id + title).join("\n");
    const nodes = () => all.map(({ id, title, off }) => make("option", { value: id, disabled: off }, title));
    if (select.dataset.texts !== texts) select.replaceChildren(...nodes());
    select.dataset.texts = texts;
    select.value = value;
  }

  function sync() {
    const value = app.state.get()[key];
    if (![...select.options].some((option) => option.value === value))
      select.append(make("option", { value }, value || "none"));
    select.value = value;
  }

  return { label: make("label", { class: "dd-choice" }, make("span", null, title), select), offer, sync };
}

function pick(selection, key, value) {
  const state = selection.get();
  const nothing = { side: "", index: 0 };
  if (key === "compare") return selection.set({ compare: value, ...(state.side === "other" ? nothing : {}) });
  const compare = state.compare === value ? "" : state.compare;
  selection.set({ run: value, image: "", compare, ...nothing, layer: null, ...NO_FILTERS, page: 0 });
}

function uploadButton(app) {
  const file = make("input", {
    type: "file",
    accept: FILES,
    onchange: () => file.files[0] && app.upload(file.files[0]),
  });
  const title = "Your own photo; it does not leave this machine";
  return make("label", { class: "dd-button", title }, "Upload an image", file);
}

function shadeButton() {
  const name = "Light or dark";
  const onclick = () => document.body.classList.toggle("dark");
  return make("button", { type: "button", class: "dd-shade", "aria-label": name, title: name, onclick }, "◐");
}
