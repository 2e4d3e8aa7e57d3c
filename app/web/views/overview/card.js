// A card of the overview, to which the words lead.
import { heading, make } from "../../dom.js";

/**
 * A card, whose heading stays while its body is filled anew.
 * @param {string} name
 * @param {string} title
 * @param {string} [says]
 * @param {string} [equation]
 */
export function evidence(name, title, says, equation) {
  const head = heading(title, says, equation);
  head.tabIndex = -1;
  const body = make("div", { class: "body" });
  const node = make("section", { class: "dd-card dd-evidence", id: `dd-card-${name}` }, head, body);
  let shown = "";

  /** Fills the card, unless it shows the same already. @param {unknown} of what it is made from */
  function fill(of, nodes) {
    const text = JSON.stringify(of);
    if (text === shown) return;
    shown = text;
    body.replaceChildren(...nodes().filter(Boolean));
  }

  return { node, fill };
}

/** Leads to a card. */
export function lead(root, name) {
  const card = root.querySelector(`#dd-card-${name}`);
  card?.scrollIntoView({ block: "start", behavior: "smooth" });
  card?.querySelector("h2")?.focus({ preventScroll: true });
}
