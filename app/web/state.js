// What is selected: one state that all views share and the address bar keeps, so that a link restores the view.

import { START } from "./gradio.js";
import { NOTHING, read, write } from "./link/address.js";

const SLID = ["layer", "gamma", "floor", "opacity", "zoom", "smooth"]; // of sliders: nothing to go back from
const CALM = 60; // milliseconds between two changes of the address: browsers take 20 in a second

/**
 * The selection, begun with what the address holds; `wrong` are the parts of the address that are not understood.
 * @returns {{state: import("./types.js").Selection, wrong: string[]}}
 */
export function selection() {
  const start = {
    ...NOTHING,
    run: START.run,
    compare: START.compare,
    image: START.image,
    sort: START.sort,
    apart: START.apart,
  };
  const watchers = [];
  const asked = read(location.search);
  let state = { ...start, ...asked.state };
  let written = 0; // when
  let waiting = 0;

  /**
   * Changes the selection; `quietly` if the user did not ask for it. Another image has other queries, so it ends the
   * selection of one, unless the change selects one.
   */
  function set(wanted, { quietly = false } = {}) {
    const other = "image" in wanted && wanted.image !== state.image;
    const change = other ? { side: "", index: 0, pins: "", zoom: "", ...wanted } : wanted;
    const changed = Object.keys(change).filter((key) => state[key] !== change[key]);
    if (!changed.length) return;
    state = { ...state, ...change };
    if (!quietly && changed.some((key) => !SLID.includes(key))) push();
    else replace();
    tell(changed);
  }

  function push() {
    clearTimeout(waiting);
    history.pushState(null, "", write(state, start));
  }

  /** Replaces the address, now or once it has been calm. */
  function replace() {
    clearTimeout(waiting);
    if (Date.now() - written < CALM) {
      waiting = setTimeout(replace, CALM);
      return;
    }
    written = Date.now();
    history.replaceState(null, "", write(state, start));
  }

  function tell(changed) {
    for (const watch of watchers) watch(state, new Set(changed));
  }

  function back() {
    clearTimeout(waiting);
    const next = { ...start, ...read(location.search).state };
    const changed = Object.keys(next).filter((key) => state[key] !== next[key]);
    state = next;
    if (changed.length) tell(changed);
  }

  window.addEventListener("popstate", back);
  return { state: { get: () => state, set, watch: (answer) => watchers.push(answer) }, wrong: asked.wrong };
}
