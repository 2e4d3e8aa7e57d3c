// What a link asked for and the page does not have: said on the page until it is closed.
import { make } from "../dom.js";

export function fallbacks() {
  const lines = make("div");
  const close = make("button", { type: "button", "aria-label": "Close", onclick: clear }, "×");
  const node = make("div", { class: "dd-fallback", role: "status", hidden: true }, lines, close);

  function clear() {
    lines.replaceChildren();
    node.hidden = true;
  }

  /** @param {string} sentence what is missing, and what is shown instead */
  function say(sentence) {
    if ([...lines.children].some((line) => line.textContent === sentence)) return;
    lines.append(make("p", null, sentence));
    node.hidden = false;
  }

  return { node, say };
}

/**
 * Ends the selection of a query or layer that the image does not have.
 * @param {import("../types.js").App} app
 */
export function checkSelection(app) {
  const { side, index, layer } = app.state.get();
  const { layers } = app.stage.scene();
  if (side && !app.stage.chosen()) {
    app.missing(`This image has no ${side} query ${index}, so nothing is selected.`);
    app.state.set({ side: "", index: 0 }, { quietly: true });
  }
  if (layer !== null && layer >= layers) {
    app.missing(`There is no decoder layer ${layer + 1}; the last of ${layers} is shown.`);
    app.state.set({ layer: null }, { quietly: true });
  }
}
