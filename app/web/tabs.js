// The tabs of the page; arrow keys go from one to the next, Alt and a number to any.
import { make } from "./dom.js";

/**
 * @param {HTMLElement} host
 * @param {import("./types.js").View[]} views
 * @param {() => import("./types.js").View} current
 * @param {(tab: string) => void} open
 */
export function tabs(host, views, current, open) {
  function turn(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = views[(views.indexOf(current()) + step + views.length) % views.length];
    open(next.id);
    nodes[views.indexOf(next)].focus();
  }

  function tab({ id, title }, k) {
    const attributes = { type: "button", role: "tab", "data-tab": id, title: `Alt+${k + 1}` };
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
  host.replaceChildren(...nodes);
  document.addEventListener("keydown", (event) => {
    const view = event.altKey && views[Number(event.key) - 1];
    if (!view) return;
    open(view.id);
    event.preventDefault();
  });
  return { mark };
}
