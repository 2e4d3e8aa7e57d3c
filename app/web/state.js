// What is selected: one state that all views share and the address bar keeps, so that a link restores the view.
import { START } from "./gradio.js";

const TABS = ["matches", "masks", "stability", "losses", "figures", "train"];
const NOTHING = {
  run: "",
  compare: "",
  image: "",
  layer: null,
  side: "",
  index: 0,
  gamma: null,
  tab: "matches",
  figure: "",
};
const PLACES = ["run", "compare", "image", "tab", "figure"]; // a change of one of these can be gone back from

/** @returns {import("./types.js").Selection} */
export function selection(start) {
  const watchers = [];
  let state = { ...NOTHING, ...start, ...read(location.search) };

  /** Another image has other queries, so it ends the selection of one, unless the change selects one. */
  function set(asked) {
    const other = "image" in asked && asked.image !== state.image;
    const change = other ? { side: "", index: 0, ...asked } : asked;
    const changed = Object.keys(change).filter((key) => state[key] !== change[key]);
    if (!changed.length) return;
    const push = changed.some((key) => PLACES.includes(key) && (state[key] !== "" || key === "figure"));
    state = { ...state, ...change };
    write(state, push);
    tell(changed);
  }

  function tell(changed) {
    for (const watch of watchers) watch(state, new Set(changed));
  }

  function back() {
    const next = { ...NOTHING, ...start, ...read(location.search) };
    const changed = Object.keys(next).filter((key) => state[key] !== next[key]);
    state = next;
    if (changed.length) tell(changed);
  }

  window.addEventListener("popstate", back);
  return { get: () => state, set, watch: (answer) => watchers.push(answer) };
}

// Layers are counted from 1 where people read them.
function read(search) {
  const given = new URLSearchParams(search);
  const state = {};
  for (const key of ["run", "compare", "image"]) if (given.has(key)) state[key] = given.get(key);
  if (TABS.includes(given.get("tab"))) state.tab = given.get("tab");
  if (/^\d{1,3}$/.test(given.get("layer") || "")) state.layer = Math.max(0, Number(given.get("layer")) - 1);
  if (/^[a-z0-9_]{1,40}$/.test(given.get("figure") || "")) state.figure = given.get("figure");
  const query = /^([a-z_]+)\.(\d{1,6})$/.exec(given.get("query") || "");
  if (query) [state.side, state.index] = [query[1], Number(query[2])];
  const gamma = Number(given.get("gamma") || NaN);
  if (gamma >= 0 && gamma <= 1) state.gamma = gamma;
  return state;
}

function write(state, push) {
  const kept = new URLSearchParams(location.search);
  const put = (key, value) => (value === "" || value === null ? kept.delete(key) : kept.set(key, value));
  put("run", state.run);
  if (state.compare === "" && START.compare) kept.set("compare", "");
  else put("compare", state.compare);
  put("image", state.image);
  put("layer", state.layer === null ? null : state.layer + 1);
  put("query", state.side && `${state.side}.${state.index}`);
  put("gamma", state.gamma);
  put("figure", state.figure);
  put("tab", state.tab === NOTHING.tab ? null : state.tab);
  const text = kept.toString().replaceAll("%2F", "/");
  history[push ? "pushState" : "replaceState"](null, "", location.pathname + (text && `?${text}`));
}
