// Ranges of the filters as texts "FROM-TO", as the address and the server have them; "" for everything.

/** @type {Partial<import("../../types.js").State>} */
export const NO_FILTERS = { having: "", count: "", size: "", found: "", change: "" };

/**
 * The ends of a range that goes from 0 to `most` where nothing else is said.
 * @returns {[number, number]}
 */
export function ends(text, most) {
  const [from, to] = text.split("-");
  return [
    Number(from || 0),
    to ? Math.min(Number(to), Math.max(most, Number(from || 0))) : Math.max(most, Number(from)),
  ];
}

/** The text of a range; an end that leaves nothing out is left away. */
export function written([from, to], most) {
  const number = (value) => String(Number(value.toFixed(2)));
  const [low, high] = [from > 0 ? number(from) : "", to < most ? number(to) : ""];
  return low || high ? `${low}-${high}` : "";
}

/** How many of the filters are in use. @param {import("../../types.js").State} state */
export const used = (state) => Object.keys(NO_FILTERS).filter((key) => state[key]).length;
