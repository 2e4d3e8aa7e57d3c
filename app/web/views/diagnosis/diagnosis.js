// The diagnosis of a run: what each loss does to the student, and the setting to change.
import { button, heading, make } from "../../dom.js";
import { ask } from "../../server.js";
import { faint } from "../blocks.js";
import { tables } from "./tables.js";

const SAYS =
  "From the log of the training and the first images of the run: what each loss does to the student, whether student " +
  "and teacher agree, and what to change.";

/**
 * @typedef {object} Diagnosis
 * @property {"working" | "made"} state
 * @property {number} seen images so far
 * @property {number} of
 * @property {string} verdict
 * @property {number} steps
 * @property {{disease: string, title: string, evidence: string, setting: string}[]} findings most important first
 * @property {{loss: string, share: number, features: number | null, decoder: number | null}[]} pulls
 * @property {{name: string, first: number, last: number}[]} terms
 * @property {{class: number[], iou: number[], object: number[]}} agreement by layer
 * @property {{found: number, objects: number, right: number} | null} naming
 * @property {number | null} teacher its AP
 */

export function diagnosisPanel() {
  const panel = make("section", { class: "dd-card dd-doctor" });
  const known = new Map(); // diagnoses by run
  let asked = ""; // the run that is examined
  let shown = ""; // the run that the panel is of

  const title = (...nodes) => make("header", null, heading("Diagnosis of this run", SAYS), ...nodes);

  function show(run) {
    if (run === shown && panel.childNodes.length) return;
    shown = run;
    if (known.has(run)) return showDiagnosis(known.get(run));
    delete panel.dataset.state;
    panel.replaceChildren(title(button("Examine this run", begin)));
  }

  async function begin() {
    const run = shown;
    asked = run;
    try {
      let diagnosis = /** @type {Diagnosis} */ ({ state: "working", seen: 0, of: 1 });
      while (diagnosis.state === "working") {
        if (run === shown) showProgress(diagnosis);
        diagnosis = await ask("doctor", { run });
        if (run !== asked) return;
      }
      known.set(run, diagnosis);
      if (run === shown) showDiagnosis(diagnosis);
    } catch (error) {
      if (run === shown) showFailure(error.message);
    }
  }

  /** @param {Diagnosis} diagnosis */
  function showProgress({ seen, of }) {
    panel.dataset.state = "working";
    const text = faint(`Analysing image ${seen + 1} of ${of}`, { "aria-live": "polite" });
    panel.replaceChildren(title(), text, make("progress", { max: of, value: seen, "aria-label": "Examining" }));
  }

  function showFailure(why) {
    panel.dataset.state = "failed";
    panel.replaceChildren(title(button("Try again", begin)), make("p", { class: "dd-says" }, why));
  }

  /** @param {Diagnosis} diagnosis */
  function showDiagnosis(diagnosis) {
    panel.dataset.state = "made";
    const { verdict, steps, findings } = diagnosis;
    const header = title(make("span", null, `${steps} steps`), button("Examine again", begin));
    const list = findings.length > 1 ? make("ol", null, findings.map(findingItem)) : "";
    const panels = make("div", { class: "dd-panels" }, tables(diagnosis));
    panel.replaceChildren(header, make("p", { class: "dd-verdict" }, verdict), list, panels);
  }

  return { panel, show };
}

function findingItem({ disease, title, evidence, setting }) {
  return make("li", { "data-disease": disease }, make("b", null, title), ": ", evidence, "; ", setting);
}
