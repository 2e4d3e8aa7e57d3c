// The images of the run as a strip, sorted by what makes them worth a look.
import { choice, make } from "../dom.js";
import { START } from "../gradio.js";
import { latest, Refused } from "../server.js";
import { finder } from "./find.js";
import { go, thumb } from "./thumb.js";

/** Milliseconds until the strip is asked for again while images are analysed. */
const AGAIN = { order: 15000, sorted: 1000 };
const ASKED = ["run", "compare", "sort", "having", "page"]; // keys of the state on which the strip depends
const PAIRED = ["gained", "lost"]; // sorts that need a second run

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
  const tools = make("div", { class: "tools" });
  const thumbs = make("div", { class: "thumbs", role: "listbox", "aria-label": "Images" });
  const where = make("span", { class: "where" });
  const known = make("span", { class: "known" });
  const previous = turner("‹", "Previous images", -1);
  const next = turner("›", "Next images", 1);
  const title = make("b", { class: "name" });
  const find = finder(app);
  let again = 0;
  let built = ""; // what the choices are of
  let wanted = ""; // an image whose page is asked for
  // Pictures that nobody has labelled begin with those that are worth it, not with the first of the folder.
  let worth = START.sort !== "order" && app.state.get().image === START.image;
  let enter = ""; // which image of the next page is opened, "first" or "last"

  function turner(text, name, step) {
    const onclick = () => app.state.set({ page: Math.max(0, app.state.get().page + step) });
    return make("button", { type: "button", class: "turn", "aria-label": name, onclick }, text);
  }

  async function load() {
    clearTimeout(again);
    const { run, compare, sort, having, page } = app.state.get();
    if (!compare && PAIRED.includes(sort)) return app.state.set({ sort: "order" }, { quietly: true });
    try {
      const answer = await question({ run, compare, sort, category: having, page, near: wanted });
      if (answer) show(answer);
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

  /** A class or an order that is not there gives way to all images in the order of the data. */
  function fail(error) {
    const { sort, having } = app.state.get();
    if (!(error instanceof Refused) || (sort === "order" && !having)) return app.notify(error.message);
    app.missing(`${error.message}. All images are shown in the order of the data.`);
    app.state.set({ sort: "order", having: "", page: 0 }, { quietly: true });
  }

  /** @param {GalleryPage} page */
  function show(page) {
    const { sort } = app.state.get();
    const open = page.known < page.total;
    const ordered = sort === "order";
    worth &&= sort === START.sort && !app.state.get().side;
    if (app.state.get().page !== page.page) app.state.set({ page: page.page }, { quietly: true });
    wanted = "";
    offer(page);
    fill(page.items);
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

  /** Offers the choices; they stay while they are the same, so that an open list is not closed. */
  function offer(page) {
    const { sort, having } = app.state.get();
    const now = JSON.stringify([page.sorts, app.about()?.classes, sort, having]);
    if (now !== built) tools.replaceChildren(...toolNodes(page));
    built = now;
  }

  /** @param {GalleryPage} page */
  function toolNodes({ sorts }) {
    const classes = [
      { id: "", title: "any object" },
      ...(app.about()?.classes || []).map((c) => ({ id: c, title: c })),
    ];
    const { sort, having } = app.state.get();
    const { says } = sorts.find(({ id }) => id === sort) || {};
    const set = (change) => app.state.set({ ...change, page: 0 });
    return [
      choice("Sort by", sorts, sort, (sort) => set({ sort }), { says }),
      choice("Images with", classes, having, (having) => set({ having }), {
        says: "Only images with an object of this class",
      }),
    ];
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
  host.replaceChildren(make("div", { class: "bar" }, tools, find, title, space, known, where, previous, next), thumbs);
  app.state.watch((_, changed) => {
    if (ASKED.some((key) => changed.has(key))) load();
    else if (changed.has("image")) mark();
  });
  return { load, follow };
}
