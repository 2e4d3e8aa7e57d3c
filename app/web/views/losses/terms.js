// The table of all terms of the loss: sum, weight, part in a layer, share of the total.
import { fixed, heading, make, share } from "../../dom.js";
import { cell, headRow, scroll } from "../blocks.js";

/** @typedef {import("./types.js").Term} Term */
/** @typedef {import("./types.js").Loss} Loss */
/** @typedef {{layer: number, chosen: string, choose: (id: string) => void}} Options */

const EQUATION = "L = L_det + λ₁ L_logits + λ₂ L_feat + λ₃ L_assign";

/**
 * @param {import("./types.js").LossesView} view
 * @param {Options} options `layer` is the one that is shown, `chosen` the id of a term
 */
export function lossTable({ losses, total, says }, options) {
  const largest = Math.max(1e-9, ...losses.flatMap(({ terms }) => terms.map(({ weighted }) => weighted)));
  const names = ["Term", "by layer", "Sum × weight", `Layer ${options.layer + 1}`, "All layers", "Share"];
  const title = make("th", { colspan: 4, scope: "row" }, "Total, as in training");
  const sum = cell(fixed(total), { class: "strong", "data-total": total });
  const foot = make("tfoot", null, make("tr", null, title, sum, cell("")));
  const bodies = losses.map((loss) => lossBody(loss, largest, options));
  const table = make("table", { class: "dd-table" }, make("thead", null, headRow(names)), bodies, foot);
  return [heading("The loss on this image", says, EQUATION), scroll(table)];
}

/** @param {Loss} loss */
function lossBody({ name, says, weighted, share: part, terms }, largest, options) {
  const title = make("th", { colspan: 4, scope: "rowgroup", title: says }, name, make("small", null, says));
  const head = make("tr", { class: "section" }, title, cell(fixed(weighted), { class: "strong" }), cell(share(part)));
  return make(
    "tbody",
    null,
    head,
    terms.map((term) => termRow(term, largest, options)),
  );
}

/** @param {Term} term */
function termRow(term, largest, { layer, chosen, choose }) {
  const at = Math.min(layer, term.layers.length - 1);
  const single = term.layers.length === 1;
  const attributes = {
    class: term.id === chosen ? "chosen" : "",
    "data-term": term.id,
    onclick: () => choose(term.id),
  };
  return make(
    "tr",
    attributes,
    termHead(term, largest),
    cell(single ? null : layerBars(term.layers, at)),
    cell([fixed(term.sum), make("span", { class: "times" }, ` × ${term.weight}`)]),
    cell(single ? "–" : fixed(term.layers[at] * term.weight)),
    cell(fixed(term.weighted), { class: "strong" }),
    cell(share(term.share)),
  );
}

/** @param {Term} term */
function termHead({ title, says, weighted }, largest) {
  const width = `width:${((100 * Math.max(0, weighted)) / largest).toFixed(1)}%`;
  const bar = make("span", { class: "track" }, make("i", { class: "bar", style: width }));
  return make("th", { scope: "row", title: says }, make("button", { type: "button", class: "dd-plain" }, title), bar);
}

/** A small bar for each layer. */
function layerBars(layers, at) {
  const peak = Math.max(1e-12, ...layers.map(Math.abs));
  const height = (value) => `height:${((100 * Math.abs(value)) / peak).toFixed(0)}%`;
  const bar = (value, k) => make("i", { class: k === at ? "here" : "", style: height(value) });
  return make("span", { class: "steps", "aria-hidden": "true" }, layers.map(bar));
}
