// View 6: a training that is going on, and a small one that is started from here.
import { button, make } from "../../dom.js";
import { ask } from "../../server.js";
import { chartCards } from "./charts.js";
import { trainForm } from "./form.js";

const EVERY = 2000; // milliseconds between looks
const GOING = ["running", "starting"];
const INTERRUPTED = 143; // the exit code of a training that was stopped, and saved

/**
 * How a training goes, and what was started from the page: `here.said` are the last lines of its output.
 * @typedef {object} Report
 * @property {"starting" | "running" | "stopped" | "finished"} state
 * @property {number} epoch
 * @property {number} epochs
 * @property {number} step
 * @property {number | null} steps
 * @property {string[]} losses
 * @property {({step: number, total: number} & Record<string, number>)[]} curve
 * @property {Record<string, [number, number | null][]>} ap by epoch, of student and teacher
 * @property {Record<string, [number, number][]>} instability
 * @property {{run: string, going: boolean, code: number | null, said: string[]}} here
 */

/**
 * @param {import("../../types.js").App} app
 * @returns {import("../../types.js").View}
 */
export function trainView(app) {
  const form = trainForm({ start, stop, watch: turn });
  const state = make("p", { class: "dd-faint", "aria-live": "polite" });
  const progress = make("section", { class: "dd-card dd-progress" });
  const charts = make("div", { class: "dd-charts" });
  const full = make("div", { class: "dd-train" }, form.node, progress, charts);
  /** @type {Promise<void> | null} */
  let ready = null;
  let timer = 0;

  async function load() {
    clearTimeout(timer);
    try {
      ready ??= prepare();
      await ready;
      const { runs } = await ask("runs");
      form.offer(runs, app.state.get().run);
      await look();
    } catch (error) {
      if (!form.isBuilt()) ready = null;
      app.notify(error.message);
    }
  }

  async function prepare() {
    form.build(await ask("recipes"));
  }

  async function start(asked) {
    try {
      const { run } = await ask("train", asked);
      form.add(run);
      load();
    } catch (error) {
      app.notify(error.message);
    }
  }

  async function stop() {
    try {
      await ask("stop");
      load();
    } catch (error) {
      app.notify(error.message);
    }
  }

  /** Turns to another run; what is shown of the one before goes at once, with the button that opens it. */
  function turn() {
    state.textContent = "";
    progress.replaceChildren(state);
    charts.replaceChildren();
    look();
  }

  async function look() {
    clearTimeout(timer);
    const run = form.watched();
    try {
      const report = await ask("watch", { run });
      if (run !== form.watched() || app.current() !== "train") return;
      show(run, report);
      if (report.here.going || GOING.includes(report.state)) timer = setTimeout(look, EVERY);
    } catch (error) {
      app.notify(error.message);
    }
  }

  /** @param {Report} report */
  function show(run, report) {
    const { here } = report;
    form.show(here);
    full.dataset.state = stateOf(run, report);
    state.textContent = describe(run, report, full.dataset.state);
    if (report.state === "starting") {
      progress.replaceChildren(state);
      return charts.replaceChildren();
    }
    const value = report.steps ? report.step / report.steps : report.epoch / report.epochs;
    const finished = full.dataset.state === "finished";
    const bar = make("progress", { max: 1, value, "aria-label": "Progress" });
    progress.replaceChildren(state, bar, finished ? button("Open this run", () => open(run)) : "");
    charts.replaceChildren(...chartCards(report));
  }

  function open(run) {
    app.state.set({ run, compare: "", image: "", side: "", index: 0, layer: null, tab: "matches" });
  }

  return { id: "train", title: "Train", full, load };
}

function stateOf(run, { state, here }) {
  if (here.run === run && here.going) return "running";
  return here.run === run && here.code ? "ended" : state;
}

function describe(run, { state, epoch, epochs, step, steps, here }, now) {
  if (state === "starting")
    return here.going ? `${run}: getting ready` : `${run} ended before its first step, with code ${here.code}`;
  const resume = `resume with: python -m train resume ${run}`;
  const ended = here.code === INTERRUPTED ? `stopped and saved; ${resume}` : `ended with code ${here.code}`;
  const states = { finished: "finished", stopped: `stopped; ${resume}`, running: "running" };
  return `${run}: epoch ${epoch} of ${epochs}, step ${step}${steps ? ` of ${steps}` : ""}, ${states[now] || ended}`;
}
