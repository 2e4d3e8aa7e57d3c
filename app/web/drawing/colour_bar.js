// The scale of maps: which colour stands for which value.
import { make, short } from "../dom.js";
import { START } from "../gradio.js";

const STYLE = `background:linear-gradient(90deg, ${START.ramp.join(", ")})`;

/**
 * @param {number} top the value of the brightest colour; the darkest is 0
 * @param {string} [says] what the values are
 */
export function colourBar(top, says) {
  const number = Number.isInteger(top)
    ? String(top)
    : top >= 0.01
      ? short(top)
      : top.toExponential(1).replace("-", "−");
  return make(
    "span",
    { class: "dd-colours", "data-top": top },
    says && make("span", null, says),
    "0",
    make("i", { style: STYLE }),
    number,
  );
}
