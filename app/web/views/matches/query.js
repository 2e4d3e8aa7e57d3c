// The chosen query or object in numbers: class scores, box, its matches, and the candidates with the lowest costs.
import { fixed, make } from "../../dom.js";
import { cell, headRow, table } from "../blocks.js";
import { figureButton, itemLink } from "./links.js";
import { matchSection } from "./match.js";

/** @typedef {import("./types.js").QueryView} QueryView */

/**
 * @param {HTMLElement} panel
 * @param {import("../../types.js").App} app
 * @param {QueryView} view
 */
export function showQuery(panel, app, view) {
  panel.replaceChildren(
    header(app, view),
    make("p", { class: "dd-box-text" }, view.box),
    scores(view),
    view.says ? make("p", { class: "dd-says" }, view.says) : "",
    ...view.matches.map((match) => matchSection(app, match)),
    ...view.rankings.map((ranking) => rankingDetails(app, ranking)),
  );
  panel.dataset.chosen = `${view.side}/${view.index}/${view.layer}`;
}

function header(app, { role, title, where }) {
  const name = make("h2", null, make("i", { class: `swatch ${role}` }), title);
  const onclick = () => app.stage.choose(null);
  const attributes = { type: "button", class: "dd-close", "aria-label": "Clear selection", title: "Clear selection" };
  const close = make("button", { ...attributes, onclick }, "×");
  return make("header", null, name, make("span", null, where), figureButton(app), close);
}

/** @param {QueryView} view */
function scores({ scores, role }) {
  const bar = (score) => make("i", { class: `bar ${role}`, style: `width:${(100 * score).toFixed(1)}%` });
  const row = ({ name, score }) =>
    make(
      "div",
      { class: "score" },
      make("span", { class: "name" }, name),
      make("span", { class: "track" }, bar(score)),
      make("span", { class: "value" }, score.toFixed(3)),
    );
  return make("div", { class: "dd-scores" }, scores.map(row));
}

/** The candidates of an object or a query. */
function rankingDetails(app, { title, says, open, columns, rows }) {
  const row = ({ name, other, matched, parts, total }) => {
    const note = matched ? make("small", null, " matched") : null;
    const head = make("th", { scope: "row" }, itemLink(app, other, name), note);
    const costs = [...parts.map((cost) => cell(fixed(cost))), cell(fixed(total), { class: "strong" })];
    return make("tr", { class: matched ? "matched" : "" }, head, costs);
  };
  const body = table(headRow(["", ...columns, "Total"]), rows.map(row));
  return make("details", { class: "dd-ranking", open }, make("summary", null, title), make("p", null, says), body);
}
