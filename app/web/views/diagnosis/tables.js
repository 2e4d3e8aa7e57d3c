// The numbers of a diagnosis: the share of each loss, the terms over training, the agreement with the teacher.
import { heading, make, share, short } from "../../dom.js";
import { cell, faint, headRow, scroll, table } from "../blocks.js";

/** @typedef {import("./diagnosis.js").Diagnosis} Diagnosis */

const PULLS =
  "At the end of training: the share of each loss in the total, and in the gradient at the student’s neck and in its " +
  "decoder.";
const TERMS = "Unweighted means over the first and the last fifth of all steps.";
const AGREEMENT = "Of student and teacher queries that are matched with one another, on the first images, by layer.";
const AGREED = { class: "the same class", iou: "IoU of their boxes", object: "the same object" };

/** @param {Diagnosis} diagnosis */
export function tables(diagnosis) {
  return [pulls(diagnosis), terms(diagnosis), diagnosis.naming && agreement(diagnosis)].filter(Boolean);
}

const percentage = (value) => (value === null ? "–" : share(value));

function named(head, rows) {
  const row = ([name, ...texts]) =>
    make(
      "tr",
      null,
      make("th", { scope: "row" }, name),
      texts.map((text) => cell(text)),
    );
  return scroll(table(headRow(head), rows.map(row)));
}

/** @param {Diagnosis} diagnosis */
function pulls({ pulls }) {
  const logged = pulls.some(({ features, decoder }) => features !== null || decoder !== null);
  const row = ({ loss, share: part, features, decoder }) => {
    const parts = logged ? [part, features, decoder] : [part];
    return [loss, ...parts.map(percentage)];
  };
  const head = ["Loss", "in the total", ...(logged ? ["at the neck", "in the decoder"] : [])];
  const note = logged ? null : faint("This run did not log the gradient of each loss.");
  return make("div", { "data-part": "pulls" }, heading("Share of each loss", PULLS), named(head, pulls.map(row)), note);
}

/** @param {Diagnosis} diagnosis */
function terms({ terms }) {
  const row = ({ name, first, last }) => [name.replaceAll("_", " ").replace("/", ": "), short(first), short(last)];
  const title = heading("Each term over training", TERMS);
  return make("div", { "data-part": "terms" }, title, named(["Term", "at first", "at last"], terms.map(row)));
}

/** @param {Diagnosis} diagnosis */
function agreement({ agreement, naming, teacher }) {
  const layers = agreement.class.map((_, k) => `layer ${k + 1}`);
  const rows = Object.entries(AGREED).map(([key, name]) => [name, ...agreement[key].map(percentage)]);
  const ap = teacher === null ? "" : `; its AP is ${(100 * teacher).toFixed(1)}`;
  const { found, objects, right } = naming;
  return make(
    "div",
    { "data-part": "agreement" },
    heading("Do student and teacher agree?", AGREEMENT),
    named(["Of matched pairs", ...layers], rows),
    faint(`The teacher finds ${found} of ${objects} objects, ${right} with the right class${ap}.`),
  );
}
