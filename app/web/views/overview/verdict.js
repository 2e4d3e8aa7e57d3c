// The card with the verdict in words; a click on a sentence leads to its evidence.
import { heading, make } from "../../dom.js";
import { faint } from "../blocks.js";

const SAYS =
  "Put together from the logs of the runs, from the images, and from what the doctor finds. A click on a sentence " +
  "leads to the numbers that it is from.";

/** @param {(card: string) => void} lead */
export function verdictCard(lead) {
  const words = make("p", { class: "dd-verdict" });
  const known = make("div", { class: "dd-few" });
  const node = make("section", { class: "dd-card dd-words" }, heading("In words", SAYS), words, known);
  let shown = "";

  /** @param {import("./types.js").Clause[]} clauses */
  function show(clauses) {
    const text = JSON.stringify(clauses);
    if (text === shown) return;
    shown = text;
    const at = [...words.querySelectorAll("a")].indexOf(/** @type {any} */ (document.activeElement));
    words.replaceChildren(...clauses.flatMap((one) => [sentence(one), " "]));
    if (at >= 0) words.querySelectorAll("a")[at]?.focus({ preventScroll: true });
  }

  function sentence({ text, to }) {
    if (!to) return make("span", null, text);
    const onclick = (event) => {
      event.preventDefault();
      lead(to);
    };
    return make("a", { href: `#dd-card-${to}`, "data-to": to, onclick }, text);
  }

  /** How far the analysis of the images is. @param {import("./types.js").Verdict | null} verdict */
  function progress(verdict) {
    node.dataset.done = String(Boolean(verdict?.done));
    if (!verdict) return known.replaceChildren(faint("Opening the runs"));
    if (verdict.done) return known.replaceChildren();
    const { counts, measured } = verdict;
    const done = counts.known + measured.reduce((sum, m) => sum + m.done, 0);
    const all = counts.total + measured.reduce((sum, m) => sum + m.total, 0);
    const text = `Analysing images: ${Math.floor((100 * done) / all)}% done`;
    known.replaceChildren(faint(text), make("progress", { max: all, value: done, "aria-label": "Analysing images" }));
  }

  /** Why there are no words. */
  function fail(why) {
    shown = "";
    words.replaceChildren(why);
    known.replaceChildren();
  }

  return { node, show, progress, fail };
}
