// One match of a query: its cost by part, its margin, and the query that would take its place.
import { fixed, help, make } from "../../dom.js";
import { cell, headRow, table } from "../blocks.js";
import { itemLink } from "./links.js";

const MARGIN =
  "How much the total cost of this layer’s matching would rise if this pair were forbidden. Near 0 the match may flip.";
const EQUATION = "margin = min{Σ cost : without the pair} − min{Σ cost}";

/**
 * @param {import("../../types.js").App} app
 * @param {import("./types.js").Match} match
 */
export function matchSection(app, match) {
  const title = make("h3", null, match.title, " ", itemLink(app, match.other, match.name));
  const says = make("p", null, match.says);
  return make(
    "section",
    { class: "dd-match", "data-match": match.line },
    title,
    says,
    costs(match),
    margin(app, match),
  );
}

function costs({ parts, plain, total }) {
  const row = ({ part, title, says, cost, weight, weighted }) => {
    const head = make("th", { scope: "row" }, title, make("small", null, says));
    const numbers = [cell(fixed(cost)), cell(`× ${weight}`), cell(fixed(weighted), { class: "strong" })];
    return make("tr", { title: says, "data-part": part }, head, numbers);
  };
  const sum = cell(fixed(total), { class: "strong", "data-total": total });
  const foot = make("tr", null, make("th", { scope: "row" }, "Total"), cell(fixed(plain)), cell(""), sum);
  return table(headRow(["Part", "Cost", "Weight", "Weighted"]), parts.map(row), foot);
}

function margin(app, { margin, runner_up: other }) {
  if (margin === null) return null;
  const runnerUp = other ? [" If it were forbidden: ", itemLink(app, other.other, other.name)] : null;
  const number = make("b", null, fixed(margin));
  return make("p", { class: "dd-firm", "data-margin": margin }, "Margin ", number, help(MARGIN, EQUATION), runnerUp);
}
