// While nothing is chosen: each object with the queries that it is matched with.
import { fixed, heading, make } from "../../dom.js";
import { itemName } from "../../link/hover.js";
import { cell, scroll } from "../blocks.js";
import { changeLegend, changeMark } from "../change.js";
import { figureButton, itemLink } from "./links.js";

const HINT =
  "Click a box, or focus the image and use the arrow keys, to see its class scores and the cost of its match here. " +
  "A second click selects the box underneath.";

/**
 * @param {HTMLElement} panel
 * @param {import("../../types.js").App} app
 * @param {import("./types.js").Overview} view
 */
export function showOverview(panel, app, view) {
  delete panel.dataset.chosen;
  const header = make(
    "header",
    null,
    heading(view.title, view.says),
    make("span", null, view.where),
    figureButton(app),
  );
  const body = view.rows.length ? scroll(objects(app, view)) : make("p", null, view.says);
  const legend = changeLegend(view.rows.map(({ change }) => change)) || "";
  panel.replaceChildren(header, body, legend, make("p", { class: "dd-hint" }, HINT));
}

function objects(app, { sides, rows }) {
  const heads = sides.map(({ role, title }) =>
    make("th", { scope: "col", title }, make("i", { class: `swatch ${role}` }), breakable(title)),
  );
  const head = make("tr", null, make("th", { scope: "col" }, "Object"), heads);
  const body = rows.map((row) => objectRow(app, row));
  return make("table", { class: "dd-table dd-overview" }, make("thead", null, head), make("tbody", null, body));
}

/** A name that may go on in a second line after each underscore or hyphen. */
const breakable = (name) => name.split(/(?<=[_-])/).flatMap((part) => [part, make("wbr")]);

function objectRow(app, { name, other, change, answers }) {
  const head = make("th", { scope: "row" }, itemLink(app, other, name), changeMark(change));
  return make(
    "tr",
    { "data-object": other.index, "data-item": itemName(other) },
    head,
    answers.map((answer) => queryCell(app, answer)),
  );
}

function queryCell(app, answer) {
  if (!answer) return cell("–");
  const cost = make("span", { class: "cost" }, fixed(answer.total, 2));
  return cell([itemLink(app, answer.other, String(answer.other.index)), cost]);
}
