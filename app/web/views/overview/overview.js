// The first view: whether distilling helped, and why, of a run, its teacher and other runs.
import { make } from "../../dom.js";
import { ask, latest } from "../../server.js";
import { apCard, partsCard } from "./ap.js";
import { lead } from "./card.js";
import { findingsCard, gradientCard } from "./gradient.js";
import { layersCard, masksCard } from "./layers.js";
import { lossCard } from "./loss.js";
import { objectsCard } from "./objects.js";
import { looks } from "./roles.js";
import { runsCard, split } from "./runs.js";
import { verdictCard } from "./verdict.js";

const EVERY = 2000; // milliseconds between questions what is known
const FRESH = 5000; // milliseconds for which what runs recorded is not asked for again

/** @typedef {import("./types.js").Recorded} Recorded */
/** @typedef {import("./types.js").Verdict} Verdict */

/**
 * @param {import("../../types.js").App} app
 * @returns {import("../../types.js").View}
 */
export function overviewView(app) {
  const words = verdictCard((name) => lead(full, name));
  const runs = runsCard(app);
  const ap = apCard(app);
  const parts = partsCard();
  const loss = lossCard(app);
  const objects = objectsCard(app);
  const gradient = gradientCard();
  const findings = findingsCard();
  const layers = layersCard();
  const masks = masksCard();
  const columns = (...all) => {
    const column = (cards) => cards.map((card) => card.node);
    const nodes = all.map((cards) => make("div", null, column(cards)));
    return make("div", { class: "dd-cards" }, nodes);
  };
  const top = make("div", { class: "dd-first-cards" }, words.node, columns([runs, objects], [findings]));
  const full = make("div", { class: "dd-verdicts" }, top, columns([ap, loss], [parts, masks], [layers, gradient]));
  const question = latest("overview");
  /** @type {Recorded | null} */
  let recorded = null;
  /** @type {Verdict | null} */
  let verdict = null;
  let shown = ""; // the runs that are shown
  let images = ""; // the runs of the verdict
  let loaded = -FRESH; // when they were asked for
  let timer = 0;

  const chosen = () => {
    const { run, compare, others } = app.state.get();
    return { run, compare, others: split(others) };
  };

  /** `changed` is what is another in the state; without it the view is opened, and runs may have recorded more. */
  async function load(changed) {
    const asked = chosen();
    const name = JSON.stringify(asked);
    const anew = !changed && performance.now() - loaded > FRESH;
    try {
      if (name !== shown || anew) {
        const answer = await question(asked);
        if (!answer || name !== JSON.stringify(chosen())) return;
        [recorded, shown, loaded] = [answer, name, performance.now()];
      }
      if (images !== JSON.stringify([asked.run, asked.compare])) verdict = null;
      showRecorded();
      showVerdict();
      look(anew);
    } catch (error) {
      words.fail(error.message);
    }
  }

  /** Shows what the runs recorded. */
  function showRecorded() {
    const all = looks(recorded.runs);
    runs.show(recorded, all);
    ap.show(all);
    parts.show(all, Boolean(app.state.get().compare));
    loss.show(all);
    gradient.show(all);
    full.dataset.shown = recorded.runs.map(({ id }) => id).join(",");
  }

  /** Shows the words, and what the images say as far as it is known. */
  function showVerdict() {
    words.show([...recorded.clauses, ...(verdict?.clauses || [])]);
    words.progress(verdict);
    objects.show(verdict);
    for (const card of [findings, layers, masks]) card.show(verdict, looks(recorded.runs));
  }

  /** Asks for what the images say until all is known, or another view or run is chosen; `anew` asks though it is. */
  async function look(anew = false) {
    clearTimeout(timer);
    if (app.current() !== "overview") return;
    const { run, compare } = chosen();
    const name = JSON.stringify([run, compare]);
    if (verdict?.done && images === name && !anew) return;
    try {
      const answer = await ask("verdict", { run, compare });
      if (app.current() !== "overview" || name !== JSON.stringify([chosen().run, chosen().compare])) return;
      [verdict, images] = [answer, name];
      showVerdict();
      if (!verdict.done) timer = setTimeout(look, EVERY);
    } catch (error) {
      app.notify(error.message);
    }
  }

  const needs = ["compare", "others", "by", "loss", "smooth", "log", "steps"];
  return { id: "overview", title: "Overview", full, needs, load };
}
