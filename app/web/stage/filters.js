// What restricts the boxes, beside the layer below the canvas; and how they are drawn, beside the canvas.
import { check, choice, make, range, segments } from "../dom.js";

const TOPS = [0, 1, 5, 10, 20, 50].map((n) => ({ id: String(n), title: n ? `best ${n}` : "all" }));
const LOOKS = [
  { id: "boxes", title: "Boxes", says: "Each box; those of a higher score are stronger" },
  { id: "density", title: "Density", says: "How many boxes lie over each place of the image" },
  {
    id: "layers",
    title: "Layers",
    says: "All boxes of the selected query or object over the layers; without a selection, the paths of all centres",
  },
];
const WAYS = [
  { id: "one", title: "One image", says: "All boxes on one image" },
  { id: "apart", title: "Side by side", says: "One image for each detector" },
];
const SAMPLING =
  "Where the chosen query reads the image in this layer: its sampling points, or what it attends to. " +
  "Larger dots have a larger weight.";

/** @typedef {(change: Partial<import("../types.js").State>) => void} Change of the selection */

/**
 * @param {import("./scene/model.js").Model} model
 * @param {Change} change
 */
export function filters(model, change) {
  const classes = make("span", { class: "dd-classes" });
  const ways = make("span", { class: "dd-ways" });
  const says = "Only the queries with the highest scores of each detector";
  const tops = choice("Queries", TOPS, String(model.options.top), (n) => change({ top: Number(n) }), { says });
  const looks = segments("Drawn as", LOOKS, model.options.look, (look) => change({ look }));
  const floor = scoreSlider(model, change);
  const below = [floor.node, tops, classes];
  const beside = make("div", { class: "dd-few dd-filters" }, looks, ways);

  /** Offers what the scene has: its classes, and detectors to put side by side. */
  function offer() {
    classes.replaceChildren(classChoice(model, change));
    ways.replaceChildren(...viewOptions(model, change));
  }

  /** Shows what is selected, by whatever it was. */
  function update() {
    const { options } = model;
    floor.update();
    tops.querySelector("select").value = String(options.top);
    classes.querySelector("select").value = options.category;
    pick(looks, options.look);
    pick(ways, options.sideBySide ? "apart" : "one");
    for (const [id, on] of [
      ["names", options.names],
      ["reads", options.sampling],
    ])
      ways.querySelector(`[data-toggle=${id}] input`).checked = on;
  }

  return { below, beside, offer, update };
}

function pick(group, value) {
  const input = group.querySelector(`[value=${value}]`);
  if (input) input.checked = true;
}

function scoreSlider(model, change) {
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

function classChoice({ picture, options }, change) {
  const classes = [{ id: "", title: "every class" }, ...picture.classes.map((name) => ({ id: name, title: name }))];
  return choice("Boxes of", classes, options.category, (only) => change({ only }));
}

function viewOptions({ scene, options }, change) {
  const names = check("Names", options.names, (on) => change({ names: on }), {
    id: "names",
    says: "Class and score beside each box: of the objects first, then of the highest scores, as long as there is room",
  });
  const sampling = check("Sampling locations", options.sampling, (on) => change({ reads: on }), {
    id: "reads",
    says: SAMPLING,
  });
  const detectors = scene.groups.filter((group) => group.id !== "truth" && !group.extra);
  const way = options.sideBySide ? "apart" : "one";
  const layout = segments("Layout", WAYS, way, (way) => change({ apart: way === "apart" }));
  const marks = make("span", { class: "marks" }, names, sampling);
  return detectors.length > 1 ? [layout, marks] : [marks];
}
