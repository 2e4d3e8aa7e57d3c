// What of the teacher is looked at: a feature level, a decoder layer, and the mask over the image.
import { choice, make, segments } from "../../dom.js";
import { card } from "../blocks.js";

const OVERS = [
  { id: "query", title: "Selected query", says: "The mask of the selected teacher query" },
  { id: "each", title: "By quality", says: "All masks, each weighted by its query’s quality, as in the loss" },
  { id: "none", title: "None", says: "The image alone" },
];

/** @param {import("./types.js").Masks} masks */
export function lookCard({ app, look }) {
  const row = make("div", { class: "dd-few" });
  const node = card("look", row);

  function build() {
    const over = segments("Over the image", OVERS, look().over, (over) => app.state.set({ over }));
    row.replaceChildren(levelChoice(), layerChoice(), over, opacitySlider());
  }

  /** Shows what is selected, by whatever it was. */
  function sync() {
    const { over, opacity } = look();
    row.querySelector(`[value=${over}]`).checked = true;
    row.querySelector("[type=range]").value = String(opacity);
  }

  function levelChoice() {
    const levels = app.about().strides.map((stride, k) => ({ id: String(k), title: `stride ${stride}` }));
    const change = (level) => app.state.set({ level: Number(level) });
    return choice("Features", levels, String(look().level), change, { says: "Feature level, by its stride in pixels" });
  }

  function layerChoice() {
    const count = app.about().teacher.layers;
    const layers = Array.from({ length: count }, (_, k) => ({ id: String(k), title: `layer ${k + 1}` }));
    const { stage } = look();
    const shown = String(stage < 0 ? count - 1 : stage);
    const change = (stage) => app.state.set({ stage: Number(stage) });
    return choice("Queries of", layers, shown, change, { says: "The teacher’s decoder layer whose queries are shown" });
  }

  function opacitySlider() {
    const oninput = (event) => app.state.set({ opacity: Number(event.target.value) });
    const limits = { type: "range", min: 0.2, max: 1, step: 0.05 };
    const slider = make("input", { ...limits, "aria-label": "Opacity of the mask", oninput });
    slider.value = String(look().opacity);
    return make("label", { class: "dd-opacity" }, make("span", null, "Opacity"), slider);
  }

  return { node, build, sync };
}

/**
 * What is looked at, within what the run has.
 * @param {import("../../types.js").App} app
 * @returns {import("./types.js").Look}
 */
export function lookOf(app) {
  const { level, stage, over, opacity, pins } = app.state.get();
  const last = (app.about()?.strides.length ?? 1) - 1;
  const layers = app.about()?.teacher?.layers ?? 0;
  return {
    level: Math.min(level ?? 1, last),
    stage: stage === null || stage >= layers ? -1 : stage,
    over,
    opacity,
    pinned: pins ? pins.split(",").map(Number) : [],
  };
}
