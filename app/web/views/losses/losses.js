// View 4: each term of the loss on this image: how much, in which layer, at which query or place.
import { make } from "../../dom.js";
import { latest } from "../../server.js";
import { card } from "../blocks.js";
import { diagnosisPanel } from "../diagnosis/diagnosis.js";
import { keepFocus } from "../focus.js";
import { termNodes } from "./term.js";
import { lossTable } from "./terms.js";

/** @typedef {import("./types.js").LossesView} LossesView */
/** @typedef {import("./types.js").TermView} TermView */

/**
 * @param {import("../../types.js").App} app
 * @returns {import("../../types.js").View}
 */
export function lossesView(app) {
  const list = card("losses");
  const detail = card("term");
  const side = make("div", { class: "dd-masks" }, list, detail);
  const diagnosis = diagnosisPanel();
  const ofAll = latest("losses");
  const ofOne = latest("term");
  /** @type {LossesView | null} */
  let view = null;
  let shown = ""; // what the view is of
  /** @type {TermView | null} */
  let values = null; // of the chosen term

  async function load(changed) {
    const scene = app.stage.scene();
    const { run } = app.state.get();
    if (!scene || scene.partial) return;
    try {
      if (!changed || !view || shown !== scene.key + run) {
        const answer = await ofAll({ key: scene.key, run });
        if (!answer || app.stage.scene() !== scene) return;
        [view, shown] = [answer, scene.key + run];
      }
      checkTerm();
      diagnosis.show(run);
      keepFocus(
        list,
        () => list.replaceChildren(...lossTable(view, { layer: app.stage.layer(), chosen: chosen(), choose })),
        { places: true },
      );
      if (!changed || changed.has("layer") || changed.has("term")) await ask();
      else mark();
    } catch (error) {
      app.notify(error.message);
    }
  }

  const terms = () => view.losses.flatMap((loss) => loss.terms);

  /** The selected term, or the first one. */
  function chosen() {
    const ids = terms().map(({ id }) => id);
    const { term } = app.state.get();
    return ids.includes(term) ? term : ids[0] || "";
  }

  /** A term that the loss does not have gives way to the first one, and the page says so. */
  function checkTerm() {
    const { term } = app.state.get();
    if (!term || term === chosen()) return;
    app.missing(`The loss of this run has no term ${term}; the first one is shown.`);
    app.state.set({ term: "" }, { quietly: true });
  }

  const choose = (term) => app.state.set({ term });

  async function ask() {
    const id = chosen();
    if (!id) return detail.replaceChildren();
    const scene = app.stage.scene();
    try {
      const answer = await ofOne({ key: scene.key, run: app.state.get().run, path: id, layer: app.stage.layer() });
      if (!answer || app.stage.scene() !== scene) return;
      values = answer;
      mark();
    } catch (error) {
      app.notify(error.message);
    }
  }

  /** Shows the values of the chosen term: a map over the image, or a bar for each query. */
  function mark() {
    if (!values || app.current() !== "losses") return;
    const term = terms().find(({ id }) => id === values.id);
    if (!term) return;
    detail.dataset.shown = `${values.id} ${values.layer}`;
    keepFocus(detail, () => detail.replaceChildren(...termNodes(app, term, values)), { places: true });
  }

  return {
    id: "losses",
    title: "Losses",
    side,
    wide: diagnosis.panel,
    needs: ["layer", "side", "index", "term"],
    load,
  };
}
