// Below the canvas: the slider over the decoder layers, which plays, and what restricts the boxes.
import { check, choice, make, segments } from "../dom.js";

const PLAY = 700; // milliseconds of a layer while the layers play
const TOPS = [0, 1, 5, 10, 20, 50].map((n) => ({ id: String(n), title: n ? `best ${n}` : "all" }));

const SAMPLING =
  "Where the chosen query reads the image in this layer: its sampling points, or what it attends to. " +
  "Larger dots have a larger weight.";

/** @typedef {import("./scene/model.js").Model} Model */

/**
 * @typedef {object} Actions
 * @property {(layer: number) => void} setLayer
 * @property {(change: Partial<import("../types.js").State>) => void} change of the selection
 */

/**
 * @param {Model} model
 * @param {Actions} actions
 */
export function controls(model, actions) {
  const layers = layerSlider(model, actions.setLayer);
  const classes = make("span", { class: "dd-classes" });
  const ways = make("span", { class: "dd-ways" });
  const says = "Only the queries with the highest scores of each detector";
  const tops = choice("Queries", TOPS, String(model.options.top), (n) => actions.change({ top: Number(n) }), { says });
  const floor = scoreSlider(model, actions);
  const filters = make("div", { class: "dd-few" }, floor.node, tops, classes, ways);

  /** Offers what the scene has: its layers, classes, and detectors to put side by side. */
  function offer() {
    layers.offer();
    classes.replaceChildren(classChoice(model, actions));
    ways.replaceChildren(...viewOptions(model, actions));
  }

  /** Shows what is selected, by whatever it was. */
  function update() {
    const { options } = model;
    layers.update();
    floor.update();
    for (const [node, value] of [
      [tops, String(options.top)],
      [classes, options.category],
    ])
      node.querySelector("select").value = value;
    for (const [id, on] of [
      ["names", options.names],
      ["reads", options.sampling],
    ])
      ways.querySelector(`[data-toggle=${id}] input`).checked = on;
    const way = ways.querySelector(`[value=${options.sideBySide ? "apart" : "one"}]`);
    if (way) way.checked = true;
  }

  const node = make("div", { class: "dd-controls" }, layers.node, filters);
  return { node, offer, stop: layers.stop, update };
}

/** A slider with a button that goes through the layers until it is pressed again. */
function layerSlider(model, setLayer) {
  const slider = range({ min: 1, max: 1, step: 1 }, "Decoder layer", (value) => {
    stop();
    setLayer(value - 1);
  });
  const name = "Play the layers";
  const attributes = { type: "button", class: "dd-play", "aria-label": name, "aria-pressed": "false", title: name };
  const button = make("button", { ...attributes, onclick: play });
  const output = make("output");
  const title = "Each decoder layer refines the boxes of the layer before, and is matched separately";
  const node = make("div", { class: "dd-layer", title }, make("span", null, "Decoder layer"), button, slider, output);
  let playing = 0;

  function play() {
    if (playing) return stop();
    const step = () => setLayer((model.layer + 1) % model.scene.layers);
    playing = setInterval(step, PLAY);
    button.setAttribute("aria-pressed", "true");
    step();
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    button.setAttribute("aria-pressed", "false");
  }

  function offer() {
    slider.max = String(model.scene.layers);
    node.hidden = model.scene.layers < 2;
  }

  /** Shows the layer, and that of the teacher where it has more or fewer. */
  function update() {
    const teacher = model.scene.groups.find((group) => group.of && group.id === "teacher");
    const also = teacher ? ` (teacher ${teacher.of[model.layer]})` : "";
    output.textContent = `${model.layer + 1} of ${model.scene.layers}${also}`;
    slider.value = String(model.layer + 1);
  }

  return { node, stop, offer, update };
}

function scoreSlider(model, { change }) {
  const output = make("output");
  const slider = range({ min: 0, max: 1, step: 0.01 }, "Minimum score of a box", (floor) => change({ floor }));
  const title = "Boxes with a lower score are drawn only at the end of a line; at 0 all queries are shown";
  const node = make("label", { class: "dd-floor", title }, make("span", null, "Minimum score"), slider, output);

  function update() {
    const { minScore } = model.options;
    output.textContent = minScore.toFixed(2);
    if (Number(slider.value) !== minScore) slider.value = String(minScore);
  }

  return { node, update };
}

function range(limits, name, change) {
  const oninput = (event) => change(Number(event.target.value));
  return make("input", { type: "range", ...limits, "aria-label": name, oninput });
}

function classChoice({ picture, options }, { change }) {
  const classes = [{ id: "", title: "every class" }, ...picture.classes.map((name) => ({ id: name, title: name }))];
  return choice("Boxes of", classes, options.category, (only) => change({ only }));
}

function viewOptions({ scene, options }, { change }) {
  const names = check("Names", options.names, (on) => change({ names: on }), {
    id: "names",
    says: "Class and score beside each box, where there is room",
  });
  const sampling = check("Sampling locations", options.sampling, (on) => change({ reads: on }), {
    id: "reads",
    says: SAMPLING,
  });
  const detectors = scene.groups.filter((group) => group.id !== "truth" && !group.extra);
  return detectors.length > 1 ? [names, sampling, layoutChoice(options, change)] : [names, sampling];
}

function layoutChoice({ sideBySide }, change) {
  const ways = [
    { id: "one", title: "One image", says: "All boxes on one image" },
    { id: "apart", title: "Side by side", says: "One image for each detector" },
  ];
  return segments("Layout", ways, sideBySide ? "apart" : "one", (way) => change({ apart: way === "apart" }));
}
