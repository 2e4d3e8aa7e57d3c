// One term of the loss in one layer: a map over the image, or a bar for each query.
import { fixed, heading, make } from "../../dom.js";
import { colourBar } from "../../drawing/colour_bar.js";
import { paintHeat } from "../../drawing/heat.js";
import { itemName } from "../../link/hover.js";
import { faint } from "../blocks.js";

/** @typedef {import("./types.js").TermView} TermView */

const BARS = 12; // queries of the largest values

/**
 * The title of a term and its values by query; a map is painted over the image.
 * @param {import("../../types.js").App} app
 * @param {import("./types.js").Term} term
 * @param {TermView} view
 */
export function termNodes(app, term, view) {
  const where = view.layers > 1 ? `layer ${view.layer + 1} of ${view.layers}` : "all layers together";
  const name = term.id.replace("/", ": ").replaceAll("_", " ");
  const header = make("header", null, heading(`Values of ${name}`, term.says), make("span", null, where));
  const { heat } = view;
  app.stage.setHeat(heat ? (canvas) => paintHeat(heat, canvas) : null, "student");
  return [header, valueNode(app, view)];
}

function valueNode(app, view) {
  const { heat, sum, values } = view;
  if (heat) {
    const says = `Over the image: up to ${fixed(heat.most, 4)} at a place, sum ${fixed(sum, 4)}, unweighted.`;
    return make("div", { class: "dd-few" }, faint(says), colourBar(heat.most));
  }
  return values ? queryBars(app, view) : faint(`One number for the image: ${fixed(sum, 4)}.`);
}

/** The queries of the largest values. */
function queryBars(app, { values, side }) {
  const all = values.map((value, index) => ({ value, index })).filter(({ value }) => value !== 0);
  const order = all.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const most = order.length ? Math.abs(order[0].value) : 1;
  const bars = order.slice(0, BARS).map((entry) => queryBar(app, side, entry, most));
  const groups = app.stage.scene().groups;
  const { role } = groups.find(({ id }) => id === (side || "student"));
  return make("div", null, make("div", { class: `dd-bars ${role}` }, bars), faint(summary(order, values.length)));
}

function queryBar(app, side, { value, index }, most) {
  const state = app.state.get();
  const chosen = side && state.side === side && state.index === index;
  const attributes = {
    type: "button",
    class: `dd-bar${chosen ? " chosen" : ""}`,
    disabled: !side,
    "data-query": index,
    "data-item": side && itemName({ side, index }),
    "data-value": value,
    onclick: () => app.stage.choose({ side, index }),
  };
  const width = `width:${((100 * Math.abs(value)) / most).toFixed(1)}%`;
  return make(
    "button",
    attributes,
    make("span", { class: "name" }, `query ${index}`),
    make("span", { class: "track" }, make("i", { style: width })),
    make("span", { class: "value" }, fixed(value, 4)),
  );
}

function summary(order, count) {
  if (!order.length) return "0 for every query in this layer";
  const sum = order.reduce((total, { value }) => total + value, 0);
  const rest = order.length - BARS;
  const more = rest > 0 ? `${rest} more with smaller values; ` : "";
  return `${more}sum ${fixed(sum, 4)}, unweighted; ${count - order.length} queries have 0`;
}
