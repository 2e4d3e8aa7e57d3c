// The tabs of the page; arrow keys go from one to the next, Home and End to the first and the last.
import { make } from "./dom.js";

/** The id of the part of the page that all tabs show their view in. */
export const PANEL = "dd-panel";

/**
 * @param {HTMLElement} host
 * @param {import("./types.js").View[]} views
 * @param {() => import("./types.js").View} current
 * @param {(tab: string) => void} open
 */
export function tabs(host, views, current, open) {
  function turn(event) {
    const at = views.indexOf(current());
    const last = views.length - 1;
    const wanted = { ArrowRight: (at + 1) % views.length, ArrowLeft: at ? at - 1 : last, Home: 0, End: last }[
      event.key
    ];
    if (wanted === undefined) return;
    open(views[wanted].id);
    nodes[wanted].focus();
    event.preventDefault();
  }

  function tab({ id, title }) {
    const attributes = { type: "button", role: "tab", id: `dd-tab-${id}`, "data-tab": id, "aria-controls": PANEL };
    return make("button", { ...attributes, onclick: () => open(id), onkeydown: turn }, title);
  }

  const nodes = views.map(tab);

  /** Shows which tab is open. */
  function mark() {
    for (const node of nodes) {
      const selected = node.dataset.tab === current().id;
      node.setAttribute("aria-selected", String(selected));
      node.tabIndex = selected ? 0 : -1;
    }
  }

  host.setAttribute("role", "tablist");
  host.setAttribute("aria-label", "Views");
  host.replaceChildren(...nodes);
  return { mark };
}
