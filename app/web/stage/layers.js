// Below the canvas: the slider over the decoder layers, which plays.
import { make, range } from "../dom.js";

const PLAY = 700; // milliseconds of a layer while the layers play

/**
 * A slider with a button that goes through the layers until it is pressed again.
 * @param {import("./scene/model.js").Model} model
 * @param {(layer: number) => void} setLayer
 */
export function layerSlider(model, setLayer) {
  const slider = range({ min: 1, max: 1, step: 1 }, "Decoder layer", (value) => {
    stop();
    setLayer(value - 1);
  });
  const name = "Play the layers";
  const attributes = { type: "button", class: "dd-play", "aria-label": name, "aria-pressed": "false", title: name };
  const button = make("button", { ...attributes, onclick: play });
  const output = make("output");
  const title = "Each decoder layer refines the boxes of the layer before, and is matched separately";
  const node = make("div", { class: "dd-layer", title }, make("span", null, "Layer"), button, slider, output);
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
