// How many objects the run finds, and the compared one does not; each number opens the images.
import { make } from "../../dom.js";
import { NO_FILTERS } from "../../gallery/filters/range.js";
import { ask } from "../../server.js";
import { faint } from "../blocks.js";
import { evidence } from "./card.js";

const SAYS =
  "An object is found by a detection of its class with IoU of at least 0.5 and a score of at least 0.3. Gained: " +
  "found by this run alone; lost: by the compared run alone; missed: by neither. A click opens the images with the " +
  "most of them.";
const COMPARED = { kept: "kept", gained: "gained", lost: "lost", missed: "missed" };
const ALONE = { kept: "found", missed: "missed" };

/** @param {import("../../types.js").App} app */
export function objectsCard(app) {
  const card = evidence("objects", "Objects", SAYS);

  /** @param {import("./types.js").Verdict | null} verdict */
  function show(verdict) {
    const compared = Boolean(app.state.get().compare) && !verdict?.said;
    card.fill([verdict?.counts, verdict?.said, compared], () => {
      if (!verdict) return [faint("The runs are being opened.")];
      const { counts, said } = verdict;
      if (!counts.objects && counts.known === counts.total)
        return [faint(said || "These images have no annotated objects.")];
      const kinds = Object.entries(compared ? COMPARED : ALONE);
      const bars = kinds.map(([kind, title]) => tile(kind, title, counts));
      const known = counts.known < counts.total ? faint(`${counts.known} of ${counts.total} images analysed`) : null;
      return [said ? faint(said) : null, make("div", { class: "dd-counts" }, bars), known];
    });
  }

  function tile(kind, title, counts) {
    const part = counts.objects ? counts[kind] / counts.objects : 0;
    const nodes = [
      make("b", null, String(counts[kind])),
      make("span", null, title),
      make("i", { style: `width:${100 * part}%` }),
    ];
    const attributes = { class: `count ${kind}`, "data-kind": kind };
    if (kind === "kept") return make("div", attributes, nodes);
    return make("button", { ...attributes, type: "button", onclick: () => open(kind) }, nodes);
  }

  /** Opens the image with the most of them, the images sorted by their number. */
  async function open(sort) {
    const { run, compare } = app.state.get();
    try {
      const { items } = await ask("gallery", { run, compare, sort });
      app.state.set({ tab: "matches", sort, ...NO_FILTERS, page: 0, ...(items.length ? { image: items[0].key } : {}) });
    } catch (error) {
      app.notify(error.message);
    }
  }

  return { node: card.node, show };
}
