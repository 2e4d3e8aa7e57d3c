// The list of all figures and tables.
import { make } from "../../dom.js";

/** @typedef {import("./figures.js").Page} Page */

/** @param {(name: string) => void} open */
export function pageList(open) {
  const node = make("nav", { class: "dd-card dd-pages", "aria-label": "Figures and tables" });

  /** @param {Page[]} pages */
  function show(pages) {
    const group = (title, kind) => [
      make("h2", null, title),
      ...pages.filter((page) => page.kind === kind).map((page) => entry(page, open)),
    ];
    node.replaceChildren(...group("Figures", "figure"), ...group("Tables", "table"));
  }

  /** Marks the page that is shown. */
  function mark(name) {
    for (const button of node.querySelectorAll("button"))
      button.setAttribute("aria-current", String(button.dataset.page === name));
  }

  return { node, show, mark };
}

/** @param {Page} page */
function entry({ name, title }, open) {
  const [head, rest] = parts(name, title);
  const attributes = { type: "button", "data-page": name, onclick: () => open(name) };
  return make("button", attributes, make("b", null, head), make("small", null, rest));
}

/** "Figure 4: where .." has its number in its title; others go by their name. */
function parts(name, title) {
  const [, number, rest] = /^((?:Figure|Table) \d+): (.*)/s.exec(title) || [];
  return number ? [number, rest] : [name.replaceAll("_", " "), title];
}
