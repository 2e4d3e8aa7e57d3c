// The images of the run as a strip, sorted by what makes them worth a look.
import { button, make } from "../dom.js";
import { START } from "../gradio.js";
import { latest, Refused } from "../server.js";
import { filters } from "./filters/filters.js";
import { NO_FILTERS, used } from "./filters/range.js";
import { finder } from "./find.js";
import { go, thumb } from "./thumb.js";
import { tools } from "./tools.js";

/** Milliseconds until the strip is asked for again while images are analysed. */
const AGAIN = { order: 15000, sorted: 1000 };
const CALM = 150; // milliseconds after the last change of a range
// Keys of the state on which the strip depends; ranges change many times a second.
const ASKED = ["run", "compare", "sort", "having", "page", "change"];
const RANGES = ["count", "size", "found"];
const PAIRED = ["gained", "lost"]; // sorts and changes that need a second run

/** @typedef {{key: string, name: string, picture: string, badge: string}} GalleryItem */

/**
 * A page of the strip; `known` of `total` images are analysed.
 * @typedef {object} GalleryPage
 * @property {GalleryItem[]} items
 * @property {number} page
 * @property {number} pages
 * @property {string} where
 * @property {number} known
 * @property {number} total
 * @property {{id: string, title: string, says: string}[]} sorts
 */

/**
 * @param {HTMLElement} host
 * @param {import("../types.js").App} app
 */
export function gallery(host, app) {
  const question = latest("gallery");
  const chosen = tools(app);
  const narrowed = filters(app);
  const empty = make("div", { class: "empty", role: "status" });
  const thumbs = make("div", { class: "thumbs", role: "listbox", "aria-label": "Images" });
  const where = make("span", { class: "where" });
  const known = make("span", { class: "known" });
  const previous = turner("‹", "Previous images", -1);
  const next = turner("›", "Next images", 1);
  const title = make("b", { class: "name" });
  const find = finder(app);
  let again = 0;
  // Pictures that nobody has labelled begin with those that are worth it, not with the first of the folder.
  const opening = app.state.get().run === START.run && app.state.get().image === START.image;
  let worth = START.sort !== "order" && opening;
  let wanted = opening && !worth ? START.image : ""; // an image whose page is asked for
  let enter = ""; // which image of the next page is opened, "first" or "last"

  function turner(text, name, step) {
    const onclick = () => app.state.set({ page: Math.max(0, app.state.get().page + step) });
    return make("button", { type: "button", class: "turn", "aria-label": name, onclick }, text);
  }

  async function load() {
    clearTimeout(again);
    const before = app.state.get();
    const { run, compare, sort, having, page, count, size, found, change } = before;
    if (!compare && PAIRED.includes(sort)) return app.state.set({ sort: "order" }, { quietly: true });
    if (!compare && PAIRED.includes(change)) return app.state.set({ change: "" }, { quietly: true });
    const passing = { category: having, objects: count, size, score: found, change };
    try {
      const answer = await question({ run, compare, sort, page, near: wanted, ...passing });
      const now = app.state.get();
      // If the page was turned meanwhile, this answer would turn it back; the answer for the new page is on its way.
      if (answer && ASKED.every((key) => before[key] === now[key])) show(answer);
    } catch (error) {
      fail(error);
    }
  }

  /**
   * Names the open image, and goes to its page of the strip.
   * @param {import("../stage/scene/types.js").Picture} picture
   */
  function follow({ key, name, width, height }) {
    const [kind, id] = key.split("/");
    const named = name === `image ${id}` ? "" : ` · ${name}`;
    title.textContent = kind === "image" ? `Image ${id}${named}` : "Uploaded image";
    title.title = `${width} × ${height} pixels`;
    if (key !== START.image) worth = false;
    if (kind !== "image" || has(key) || worth) return;
    wanted = key;
    load();
  }

  const has = (key) => [...thumbs.children].some((node) => node.getAttribute("data-image") === key);

  /** Goes on from the last image to the first of the next page, or back. */
  function beyond(side) {
    const step = side === "nextElementSibling" ? 1 : -1;
    if ((step > 0 ? next : previous).disabled) return;
    enter = step > 0 ? "first" : "last";
    app.state.set({ page: app.state.get().page + step });
  }

  /** A filter or an order that is not there gives way to all images in the order of the data. */
  function fail(error) {
    const state = app.state.get();
    if (!(error instanceof Refused) || (state.sort === "order" && !used(state))) return app.notify(error.message);
    app.missing(`${error.message}. All images are shown in the order of the data.`);
    app.state.set({ ...NO_FILTERS, sort: "order", page: 0 }, { quietly: true });
  }

  /** @param {GalleryPage} page */
  function show(page) {
    const { sort, change, found } = app.state.get();
    const open = page.known < page.total;
    const ordered = sort === "order" && !change && !found;
    worth &&= sort === START.sort && !app.state.get().side;
    if (app.state.get().page !== page.page) app.state.set({ page: page.page }, { quietly: true });
    wanted = "";
    chosen.offer(page);
    fill(page.items);
    say(page, ordered);
    where.textContent = page.where;
    known.textContent = open && !ordered ? `${page.known} of ${page.total} images analysed` : "";
    known.title = "Images are analysed one by one while the app is idle; until then they come last";
    previous.disabled = page.page <= 0;
    next.disabled = page.page >= page.pages - 1;
    Object.assign(host.dataset, { known: page.known, sort });
    mark();
    const reached = enter && (enter === "first" ? thumbs.firstElementChild : thumbs.lastElementChild);
    enter = "";
    if (reached instanceof HTMLElement) go(reached);
    if (worth && !open && page.items.length) app.state.set({ image: page.items[0].key }, { quietly: true });
    if (open) again = setTimeout(load, ordered ? AGAIN.order : AGAIN.sorted);
  }

  /**
   * Says what to do where no image passes.
   * @param {GalleryPage} page
   * @param {boolean} ordered no facts of the images are asked for
   */
  function say({ items, known, total }, ordered) {
    const none = !items.length;
    const soon = !ordered && known < total ? ` ${known} of ${total} images are analysed so far; the rest follow.` : "";
    const text = none ? `No image passes all filters.${soon} Widen a range, or clear the filters.` : "";
    thumbs.hidden = none;
    if (empty.dataset.text === text) return;
    empty.replaceChildren(...(none ? [text, button("Show all images", narrowed.clearAll)] : []));
    empty.dataset.text = text;
  }

  /** Shows the images, unless they are shown already; the focus stays on its image. */
  function fill(items) {
    const texts = items.map(({ key, badge, picture }) => key + badge + picture.length).join();
    if (thumbs.dataset.texts === texts) return;
    const focused = document.activeElement?.closest(".thumb")?.getAttribute("data-image");
    thumbs.replaceChildren(...items.map((item) => thumb(item, (image) => app.state.set({ image }), beyond)));
    thumbs.dataset.texts = texts;
    const node = focused && [...thumbs.children].find((child) => child.getAttribute("data-image") === focused);
    if (node instanceof HTMLElement) node.focus({ preventScroll: true });
  }

  /** Marks the image that is shown, and scrolls the strip to it. One image of the strip is reached by Tab. */
  function mark() {
    const all = /** @type {HTMLElement[]} */ ([...thumbs.children]);
    const open = all.find((node) => node.dataset.image === app.state.get().image);
    for (const node of all) {
      const shown = node === open;
      node.tabIndex = node === (open || all[0]) ? 0 : -1;
      node.setAttribute("aria-selected", String(shown));
      const [a, b] = [node.getBoundingClientRect(), thumbs.getBoundingClientRect()];
      if (shown) thumbs.scrollLeft += Math.max(0, a.right - b.right + 8) - Math.max(0, b.left + 8 - a.left);
    }
  }

  const space = make("span", { class: "grow" });
  const pager = make("span", { class: "pager" }, where, previous, next);
  const shown = [chosen.node, narrowed.opener, narrowed.clear, find, title, space, known, pager];
  host.replaceChildren(make("div", { class: "bar" }, shown), thumbs, empty);
  app.state.watch((_, changed) => {
    if (ASKED.some((key) => changed.has(key))) load();
    else if (RANGES.some((key) => changed.has(key))) {
      clearTimeout(again);
      again = setTimeout(load, CALM);
    } else if (changed.has("image")) mark();
  });
  return { load: () => Promise.all([load(), narrowed.load()]), follow, filters: narrowed.panel };
}
