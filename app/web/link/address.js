// The whole view in the address bar: what is selected, under which name and in which form.

/**
 * One value of the state, as a link writes it.
 * @typedef {object} Field
 * @property {string} name in the address
 * @property {unknown} initial
 * @property {(text: string) => unknown} parse undefined where the text is none
 * @property {(value: any) => string} format
 */

const TABS = ["overview", "matches", "masks", "stability", "losses", "figures", "notes", "train"];
const LONGEST = 4096; // characters of a text

/** @returns {Field} */
const field = (name, initial, parse, format = String) => ({ name, initial, parse, format });

const text = (name, initial = "") => field(name, initial, (given) => (given.length > LONGEST ? undefined : given));

/** Whether a text could be decoded; "%" could not. */
function isEncoded(text) {
  try {
    return decodeURIComponent(text).length <= LONGEST;
  } catch {
    return false;
  }
}

const fitting = (name, pattern, initial = "") =>
  field(name, initial, (given) => (pattern.test(given) ? given : undefined));

const oneOf = (name, values, initial) => field(name, initial, (given) => (values.includes(given) ? given : undefined));

const yes = (name, initial) =>
  field(
    name,
    initial,
    (given) => ({ yes: true, no: false })[given],
    (value) => (value ? "yes" : "no"),
  );

/** A number from `least` to `most`. */
const number = (name, initial, least, most) =>
  field(name, initial, (given) => {
    const value = Number(given);
    return given.trim() !== "" && value >= least && value <= most ? value : undefined;
  });

/** A whole number from 0, which people count from 1. */
const counted = (name, initial) =>
  field(
    name,
    initial,
    (given) => (/^[1-9]\d{0,4}$/.test(given) ? Number(given) - 1 : undefined),
    (value) => String(value + 1),
  );

const whole = (name, initial) => field(name, initial, (given) => (/^\d{1,5}$/.test(given) ? Number(given) : undefined));

const RANGE = /^(?=.*\d)(\d{0,9}(\.\d{1,6})?)-(\d{0,9}(\.\d{1,6})?)$/; // FROM-TO, either end of which may be missing
const NAMES = /^[a-z0-9_,-]{1,400}$/; // ids with commas between them

/**
 * By the key of the state; `side` and `index` are one field, "query". gradio answers an address with `page` or
 * `deep_link` itself, so no field has these names.
 * @type {Record<string, Field>}
 */
const FIELDS = {
  run: text("run"),
  compare: text("compare"),
  image: text("image"),
  tab: oneOf("tab", TABS, "matches"),
  layer: counted("layer", null),
  gamma: number("gamma", null, 0, 1),
  apart: yes("apart", false),
  floor: number("score", 0.3, 0, 1),
  top: whole("best", 0),
  only: text("class"),
  names: yes("names", true),
  reads: yes("sampling", false),
  look: oneOf("draw", ["boxes", "density", "layers"], "boxes"),
  zoom: fitting("at", /^[01](\.\d{1,4})?,[01](\.\d{1,4})?,\d{1,2}(\.\d{1,3})?$/),
  show: fitting("show", NAMES),
  hide: fitting("hide", NAMES),
  sort: fitting("sort", /^[a-z]{1,20}$/, "order"),
  having: text("with"),
  count: fitting("objects", RANGE),
  size: fitting("size", RANGE),
  found: fitting("found", RANGE),
  change: oneOf("change", ["", "kept", "gained", "lost", "missed"], ""),
  filtering: yes("filters", false),
  page: counted("strip", 0),
  level: whole("level", null),
  stage: counted("teacher", null),
  over: oneOf("over", ["query", "each", "none"], "query"),
  opacity: number("opacity", 0.85, 0.2, 1),
  pins: fitting("pins", /^\d{1,6}(,\d{1,6}){0,4}$/),
  ribbons: oneOf("ribbons", ["layers", "epochs"], "layers"),
  term: fitting("term", /^[a-z0-9_]{1,60}\/[a-z0-9_]{1,60}$/),
  figure: fitting("figure", /^[a-z0-9_]{1,40}$/),
  made: fitting("from", NAMES),
  of: text("of"),
  noted: text("note"),
  tag: text("tag"),
  others: field("also", "", (given) => (isEncoded(given) ? given : undefined)),
  by: oneOf("by", ["epoch", "minutes"], "epoch"),
  loss: fitting("loss", /^[a-z0-9_]{1,60}$/, "total"),
  smooth: number("smooth", 0.8, 0, 0.99),
  log: yes("log", false),
  steps: fitting("steps", /^\d{1,9}-\d{1,9}$/),
};

/** @type {import("../types.js").State} */
export const NOTHING = Object.assign(
  { side: "", index: 0 },
  /** @type {any} */ (Object.fromEntries(Object.entries(FIELDS).map(([key, { initial }]) => [key, initial]))),
);

/**
 * The part of the state that an address holds, and what in it is not understood.
 * @param {string} search
 * @returns {{state: Partial<import("../types.js").State>, wrong: string[]}}
 */
export function read(search) {
  const given = new URLSearchParams(search);
  const state = {};
  const wrong = [];
  for (const [key, { name, parse }] of Object.entries(FIELDS)) {
    if (!given.has(name)) continue;
    const value = parse(given.get(name));
    if (value === undefined) wrong.push(`${name}=${given.get(name)}`);
    else state[key] = value;
  }
  const query = /^([a-z_]+)\.(\d{1,6})$/.exec(given.get("query") || "");
  if (query) Object.assign(state, { side: query[1], index: Number(query[2]) });
  else if (given.get("query")) wrong.push(`query=${given.get("query")}`);
  return { state, wrong };
}

/**
 * The address of a state; what is as the page starts is left out, and what is not the page's own is kept.
 * @param {import("../types.js").State} state
 * @param {import("../types.js").State} start
 */
export function write(state, start) {
  const kept = new URLSearchParams(location.search);
  const put = (name, value) => (value === null ? kept.delete(name) : kept.set(name, value));
  for (const [key, { name, format, initial }] of Object.entries(FIELDS)) {
    const plain = state[key] === initial && start[key] === initial;
    put(name, plain || state[key] === null ? null : format(state[key]));
  }
  put("query", state.side ? `${state.side}.${state.index}` : null);
  const search = kept.toString().replaceAll("%2F", "/").replaceAll("%2C", ",");
  return location.pathname + (search && `?${search}`);
}
