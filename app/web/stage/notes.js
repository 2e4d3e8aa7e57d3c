// What the app says about an image: a banner, with a slider where pseudo truth stands in for annotations; and notes.
import { make } from "../dom.js";

/**
 * @param {import("./scene/types.js").Scene} scene
 * @param {HTMLElement} banner
 * @param {(image: string) => void} open opens an image by its key
 */
export function fillBanner(scene, banner, open) {
  const scored = scene.truth === "pseudo" && scene.key.startsWith("upload/");
  banner.replaceChildren(scene.banner || "", scored ? pseudoTruthSlider(scene.key, open) : "");
  banner.hidden = !scene.banner;
}

/** The minimum score of a teacher query that stands in for an object; it is part of the image's key. */
function pseudoTruthSlider(key, open) {
  const [kind, digest, score] = key.split("/");
  const onchange = (event) => open(`${kind}/${digest}/${Number(event.target.value).toFixed(2)}`);
  const name = "Minimum score of pseudo truth";
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.05, "aria-label": name, onchange });
  slider.value = score;
  return slider;
}

/**
 * What to do where no query's box is drawn; "" where some is.
 * @param {import("./scene/model.js").Model} model
 */
export function emptySentence({ scene, visible, options }) {
  const queries = scene.groups.filter(({ id }) => id !== "truth");
  if (scene.partial || !queries.length || visible.items.some(({ side }) => side !== "truth")) return "";
  if (queries.every(({ id }) => options.hidden.has(id))) return "All boxes of queries are switched off; switch one on.";
  if (options.category) return `No query is a ${options.category} with a score of ${options.minScore.toFixed(2)}.`;
  return `No query scores ${options.minScore.toFixed(2)}: lower the minimum score to see boxes.`;
}

/** @param {import("./scene/types.js").Scene} scene */
export function noteNodes(scene) {
  return (scene.notes || []).map((note) => make("p", { class: "dd-note" }, note));
}
