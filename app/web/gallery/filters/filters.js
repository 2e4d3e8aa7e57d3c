// The filters of the images: a panel of histograms to brush, and how many images are left.
import { button, choice, make } from "../../dom.js";
import { latest, Refused } from "../../server.js";
import { histogramField } from "./histogram.js";
import { NO_FILTERS, used } from "./range.js";

const AGAIN = 1000; // milliseconds until the server is asked again while images are analysed
const ASKED = ["run", "compare", "having", "count", "size", "found", "change", "filtering"];
const SIZES = [
  { id: "", title: "any size" },
  { id: "-32", title: "small: up to 32 px" },
  { id: "32-96", title: "medium: 32 to 96 px" },
  { id: "96-", title: "large: from 96 px" },
];
const BRUSHED = "another range";
/** By the key of the state. @type {Record<string, import("./histogram.js").Kind & {id: string}>} */
const KINDS = {
  count: { id: "objects", title: "Number of objects", says: "Of an image", of: "images", step: 1, whole: true },
  size: {
    id: "size",
    title: "Object size",
    says: "The square root of the area. COCO calls objects up to 32 pixels small, and from 96 large",
    of: "objects",
    step: 1,
    unit: " px",
  },
  found: {
    id: "score",
    title: "Score",
    says: "Of the student's detection that found the object with IoU of at least 0.5; 0 where none did",
    of: "analysed objects",
    step: 0.01,
  },
};
const SAYS = "An image passes if one of its objects has the class, the size, the score and the change that are chosen.";
const CHANGE =
  "Found: by a detection of the class with IoU of at least 0.5 and a score of at least 0.3. Gained: by this run " +
  "alone; lost: by the compared run alone";

/**
 * How many images are left, and what there is to filter by.
 * @typedef {object} Left
 * @property {number} matching
 * @property {number} images
 * @property {number} known images that are analysed
 * @property {boolean} analysed whether only those can pass
 * @property {{id: string, title: string}[]} changes
 * @property {import("./histogram.js").Histogram[]} histograms
 */

/** @param {import("../../types.js").App} app */
export function filters(app) {
  const { state } = app;
  const question = latest("filters");
  const opener = button("Filters", () => open(!state.get().filtering), {
    "aria-controls": "dd-filters",
    "aria-expanded": "false",
  });
  const clear = button("Clear filters", clearAll);
  const left = make("b", { role: "status" });
  const choices = make("span", { class: "choices" });
  const fields = Object.entries(KINDS).map(([key, kind]) => {
    const set = (text, going) => state.set({ [key]: text, page: 0 }, { quietly: going });
    return { key, id: kind.id, ...histogramField(kind, set) };
  });
  const head = make("div", { class: "head" }, left, choices, make("span", { class: "dd-faint" }, SAYS));
  const row = make(
    "div",
    { class: "histograms" },
    fields.map((field) => field.node),
  );
  const panel = make("div", { id: "dd-filters", role: "group", "aria-label": "Filters", tabindex: -1 }, head, row);
  let again = 0;
  let built = ""; // what the choices are of

  /** The panel stands away from its button: beside the canvas, which keeps its place. */
  function open(filtering) {
    state.set({ filtering });
    (filtering ? panel : opener).focus();
  }

  function clearAll() {
    state.set({ ...NO_FILTERS, page: 0 });
    opener.focus();
  }

  async function load() {
    clearTimeout(again);
    const { run, compare, having, count, size, found, change, filtering } = state.get();
    if (!filtering) return;
    try {
      const answer = await question({ run, compare, category: having, objects: count, size, score: found, change });
      if (!answer) return;
      show(answer);
      panel.dataset.shown = [having, count, size, found, change].join("|");
    } catch (error) {
      if (!(error instanceof Refused)) app.notify(error.message); // the strip says what is refused
    }
  }

  /** @param {Left} answer */
  function show(answer) {
    const { histograms, known, images } = answer;
    const open = known < images;
    const some = histograms[0].most > 0;
    left.textContent = some ? said(answer) : "These images have no annotated objects to filter by.";
    row.hidden = !some;
    choices.hidden = !some;
    for (const field of fields)
      field.show(
        histograms.find(({ id }) => id === field.id),
        state.get()[field.key],
      );
    offer(answer.changes);
    panel.dataset.matching = String(answer.matching);
    panel.dataset.known = String(known);
    if (open) again = setTimeout(load, AGAIN);
  }

  /** Offers the choices; they stay while they are the same, so that an open list is not closed. */
  function offer(changes) {
    const { size, change } = state.get();
    const now = JSON.stringify([changes, size, change]);
    if (now === built) return;
    built = now;
    const sizes = SIZES.some(({ id }) => id === size) ? SIZES : [...SIZES, { id: size, title: BRUSHED }];
    const kinds = [{ id: "", title: "any" }, ...changes];
    const focused = choices.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
    choices.replaceChildren(
      choice("Size", sizes, size, (id) => state.set({ size: id, page: 0 })),
      choice("Objects that are", kinds, change, (id) => state.set({ change: id, page: 0 }), { says: CHANGE }),
    );
    const node = focused && choices.querySelector(`[aria-label="${focused}"]`);
    if (node instanceof HTMLElement) node.focus();
  }

  /** Shows what is selected, before the server has answered. */
  function mark() {
    const now = state.get();
    const number = used(now);
    opener.textContent = number ? `Filters (${number})` : "Filters";
    opener.setAttribute("aria-expanded", String(now.filtering));
    clear.hidden = !number;
    panel.hidden = !now.filtering;
    for (const field of fields) field.mark(now[field.key]);
  }

  panel.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") open(false);
  });
  mark();
  state.watch((_, changed) => {
    if (!ASKED.some((key) => changed.has(key))) return;
    mark();
    load();
  });
  return { panel, opener, clear, clearAll, load };
}

/** How many images pass, and of how many that could be said. @param {Left} answer */
function said({ matching, images, known, analysed }) {
  const of = analysed && known < images ? `the ${known} of ${images} images analysed so far` : `${images} images`;
  return `${matching} of ${of}`;
}
