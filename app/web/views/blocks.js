// Cards and tables, which all views are made of.
import { make } from "../dom.js";

/** A framed section; its class is "dd-" and the name. */
export const card = (name, ...children) => make("section", { class: `dd-card dd-${name}` }, ...children);

export const faint = (text, attributes) => make("p", { class: "dd-faint", ...attributes }, text);

export const cell = (text, attributes) => make("td", attributes, text);

/**
 * Column heads; a head is a text, or [text, explanation].
 * @param {(string | string[])[]} heads
 */
export function headRow(heads) {
  const head = (entry) => {
    const [text, title] = [entry].flat();
    return make("th", { scope: "col", title }, text);
  };
  return make("tr", null, heads.map(head));
}

/** A table of nodes; the foot may be left out. */
export function table(head, rows, foot) {
  return make(
    "table",
    { class: "dd-table" },
    make("thead", null, head),
    make("tbody", null, rows),
    foot && make("tfoot", null, foot),
  );
}

/** What is wider than its card scrolls. */
export const scroll = (node) => make("div", { class: "dd-scroll" }, node);
