// A figure or table that is made: its picture or rows, its caption, and its files.
import { button, make } from "../../dom.js";
import { download } from "../../download.js";
import { ask } from "../../server.js";
import { scroll } from "../blocks.js";

const FORMS = { tex: "LaTeX", md: "Markdown" };

/**
 * `picture` is a data URL or ""; the first row of `table` are its column heads.
 * @typedef {{forms: string[], picture: string, caption: string, table: string[][]}} Made
 */

/**
 * @param {import("../../types.js").App} app
 * @param {Made} made
 * @param {object} asked what it was made from
 */
export function pageNodes(app, { forms, picture, caption, table }, asked) {
  const nodes = [
    downloads(app, forms, asked),
    picture && make("img", { class: "dd-preview", src: picture, alt: caption }),
    table.length > 0 && sheet(table),
    make("p", { class: "dd-caption" }, caption.replaceAll("**", "")),
  ];
  return nodes.filter(Boolean);
}

function downloads(app, forms, asked) {
  const one = (form) => button(FORMS[form] || form.toUpperCase(), () => save(app, form, asked), { "data-form": form });
  const files = forms.filter((form) => form !== "txt").map(one);
  return make("div", { class: "dd-few" }, make("span", { class: "dd-faint" }, "Download"), files);
}

async function save(app, form, asked) {
  try {
    download(await ask("file", { ...asked, form }));
  } catch (error) {
    app.notify(error.message);
  }
}

/** @param {string[][]} table */
function sheet(table) {
  const [head, ...rows] = table;
  const heads = head.map((text) => make("th", { scope: "col" }, bold(text)));
  const row = (texts) =>
    make(
      "tr",
      null,
      texts.map((text, k) => make(k ? "td" : "th", null, bold(text))),
    );
  const top = make("thead", null, make("tr", null, heads));
  return scroll(make("table", { class: "dd-table dd-sheet" }, top, make("tbody", null, rows.map(row))));
}

/** Markdown's "**text**" in bold. */
const bold = (text) => (text.startsWith("**") ? make("b", null, text.replaceAll("**", "")) : text);
