// What to train and for how long, what to watch, and the output of what was started.
import { button, choice, heading, make } from "../../dom.js";

const SAYS =
  "On generated shapes, in a process of its own: no file and no download is needed. It can be stopped at any step, " +
  "and resumed on the command line.";
const EPOCHS = 60; // at most
const IMAGES = 2400;
const RECIPE = "shapes_distill"; // chosen at first

/** @typedef {{id: string, title: string, says: string}} Recipe */

/**
 * @typedef {object} Actions
 * @property {(asked: {recipe: string, epochs: number, images: number}) => void} start
 * @property {() => void} stop
 * @property {() => void} watch another run is watched
 */

/** @param {Actions} actions */
export function trainForm({ start, stop, watch }) {
  const node = make("section", { class: "dd-card" });
  const epochs = number("Epochs", 3, EPOCHS);
  const images = number("Images", 400, IMAGES);
  const output = make("pre", { class: "dd-log" });
  const watching = make("span");
  const startButton = button("Start", begin);
  const stopButton = button("Stop", stop);
  let watched = ""; // a run
  let picked = false; // by the user; otherwise it is the run that is open

  const select = (name) => /** @type {HTMLSelectElement} */ (node.querySelector(`select[aria-label=${name}]`));

  function begin() {
    start({ recipe: select("Recipe").value, epochs: Number(epochs.value), images: Number(images.value) });
  }

  /**
   * @param {{recipes: Recipe[], run: string}} training the recipes, and the run that was started from the page
   */
  function build({ recipes, run }) {
    [watched, picked] = [run, Boolean(run)];
    const space = make("span", { class: "grow" });
    const fields = [labelled("Epochs", epochs), labelled("Images", images)];
    const choices = [recipeChoice(recipes), ...fields, startButton, stopButton, space, watching];
    const title = heading("Train a small student", SAYS);
    node.replaceChildren(title, make("div", { class: "dd-few" }, choices), output);
  }

  /**
   * Offers the runs to watch.
   * @param {{id: string}[]} runs
   * @param {string} open the run that is open
   */
  function offer(runs, open) {
    if (!picked) watched = open;
    const options = runs.map(({ id }) => ({ id, title: id }));
    if (!options.some(({ id }) => id === watched)) options.unshift({ id: watched, title: watched });
    const change = (run) => {
      [watched, picked] = [run, true];
      watch();
    };
    const says = "Any run, also one that was started on the command line";
    watching.replaceChildren(choice("Watch", options, watched, change, { says }));
  }

  /** Adds a run that was just started, and watches it. */
  function add(run) {
    [watched, picked] = [run, true];
    select("Watch").append(make("option", { value: run }, run));
    select("Watch").value = run;
  }

  /** Shows what was started from the page, with its output while it is the run that is watched. */
  function show({ run, going, said }) {
    startButton.disabled = going;
    stopButton.disabled = !going;
    output.hidden = !run || run !== watched;
    output.textContent = output.hidden ? "" : said.join("\n");
  }

  return { node, build, offer, add, show, watched: () => watched, isBuilt: () => node.hasChildNodes() };
}

function number(name, value, most) {
  return make("input", { type: "number", min: 1, max: most, value, "aria-label": name });
}

const labelled = (name, input) => make("label", { class: "dd-choice" }, make("span", null, name), input);

/** @param {Recipe[]} recipes */
function recipeChoice(recipes) {
  const first = recipes.some(({ id }) => id === RECIPE) ? RECIPE : recipes[0]?.id;
  const says = recipes.map(({ title, says }) => `${title}: ${says}`).join("\n");
  return choice("Recipe", recipes, first, () => {}, { says });
}
