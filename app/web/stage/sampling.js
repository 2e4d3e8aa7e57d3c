// Where the chosen query reads the image: asked for once a query is chosen and the switch is on.
import { make } from "../dom.js";
import { latest } from "../server.js";

/**
 * @param {import("./scene/model.js").Model} model
 * @param {import("../types.js").App} app
 * @param {() => void} paint
 */
export function sampling(model, app, paint) {
  const question = latest("reading");
  const node = make("p", { class: "dd-note dd-reads", hidden: true });

  async function load() {
    const item = model.chosen;
    if (!model.options.sampling || !item || item.side === "truth" || model.scene.partial) return show("");
    const key = model.keyOf(item);
    if (model.sampling?.key === key) return show(model.sampling.says);
    try {
      const answer = await question(questionOf(item));
      if (!answer || !isWanted(key)) return;
      model.sampling = { key, ...answer };
      paint();
      show(answer.says);
    } catch (error) {
      app.notify(error.message);
    }
  }

  function questionOf({ side, index }) {
    const { run, compare } = app.state.get();
    return { key: model.scene.key, layer: model.layer, side, index, run, compare };
  }

  /** Whether the switch is still on, and the same query still chosen. */
  function isWanted(key) {
    return model.options.sampling && model.chosen && model.keyOf(model.chosen) === key;
  }

  function show(sentence) {
    node.textContent = sentence;
    node.hidden = !sentence;
  }

  /** The switch was turned. */
  function follow() {
    if (!model.options.sampling) model.sampling = null;
    load();
  }

  return { node, load, follow };
}
