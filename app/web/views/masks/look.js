// What of the teacher is looked at: a feature level, a decoder layer, and the mask over the image.
import { choice, make, segments } from "../../dom.js";
import { card } from "../blocks.js";

const OVERS = [
  { id: "query", title: "Selected query", says: "The mask of the selected teacher query" },
  { id: "each", title: "By quality", says: "All masks, each weighted by its query’s quality, as in the loss" },
  { id: "none", title: "None", says: "The image alone" },
];

/** @param {import("./types.js").Masks} masks */
export function lookCard({ app, look, load, mark }) {
  const row = make("div", { class: "dd-few" });
  const node = card("look", row);

  function set(change, then) {
    Object.assign(look, change);
    then();
  }

  function build() {
    const over = segments("Over the image", OVERS, look.over, (over) => set({ over }, mark));
    row.replaceChildren(levelChoice(), layerChoice(), over, opacitySlider());
  }

  function levelChoice() {
    const levels = app.about().strides.map((stride, k) => ({ id: String(k), title: `stride ${stride}` }));
    const change = (level) => set({ level: Number(level) }, load);
    return choice("Features", levels, String(look.level), change, { says: "Feature level, by its stride in pixels" });
  }

  function layerChoice() {
    const count = app.about().teacher.layers;
    const layers = Array.from({ length: count }, (_, k) => ({ id: String(k), title: `layer ${k + 1}` }));
    const shown = String(look.stage < 0 ? count - 1 : look.stage);
    const change = (stage) => set({ stage: Number(stage) }, load);
    return choice("Queries of", layers, shown, change, { says: "The teacher’s decoder layer whose queries are shown" });
  }

  function opacitySlider() {
    const oninput = (event) => set({ opacity: Number(event.target.value) }, mark);
    const limits = { type: "range", min: 0.2, max: 1, step: 0.05 };
    const slider = make("input", { ...limits, "aria-label": "Opacity of the mask", oninput });
    slider.value = String(look.opacity);
    return slider;
  }

  return { node, build };
}
