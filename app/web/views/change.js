// Whether two students find an object: a mark beside its name, which says what it means.
import { make } from "../dom.js";

const FOUND = "An object is found by a detection of its class with IoU of at least 0.5 and a score of at least 0.3.";
const SAYS = {
  gained: "The selected run’s student finds this object, the compared one does not.",
  lost: "The compared run’s student finds this object, the selected one does not.",
  missed: "Neither student finds this object.",
};

/** @param {string} change "gained", "lost", "missed"; nothing is said of "kept" */
export function changeMark(change) {
  if (!SAYS[change]) return null;
  return make("small", { class: `change ${change}`, title: `${SAYS[change]} ${FOUND}` }, change);
}

/** @param {string[]} changes of all objects: what the marks mean, in one sentence for each that is there */
export function changeLegend(changes) {
  const there = Object.keys(SAYS).filter((change) => changes.includes(change));
  if (!there.length) return null;
  const sentences = there.map((change) => [make("b", null, change), `: ${SAYS[change]} `]);
  return make("p", { class: "dd-faint dd-changes" }, sentences, FOUND);
}
