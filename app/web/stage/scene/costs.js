// The colour of a cost: from that of the lowest cost, through the middle, to that of the highest.
import { blend, rgb } from "../../drawing/colours.js";
import { START } from "../../gradio.js";

const [LOW, MIDDLE, HIGH] = [START.colours.low_cost, START.colours.match, START.colours.high_cost].map(rgb);
const RANGE = [0.02, 0.98]; // quantiles of a line's costs that get the colours at both ends
const UNKNOWN = 0.5;

/** From this relative cost on a line is so dark that its edge is light. */
export const DARK = 0.6;

const ranges = new WeakMap(); // lowest and highest cost by line

/** The colour of a relative cost. */
export function costColour(relative) {
  const colour = relative < 0.5 ? blend(LOW, MIDDLE, 2 * relative) : blend(MIDDLE, HIGH, 2 * relative - 1);
  return `rgb(${colour.map(Math.round).join(" ")})`;
}

/**
 * A cost between the lowest (0) and the highest (1) of its line, over all layers.
 * @param {import("./types.js").Line} line
 * @param {number | null} cost
 */
export function relativeCost(line, cost) {
  if (cost === null) return UNKNOWN;
  if (!ranges.has(line)) ranges.set(line, rangeOf(line));
  const [low, high] = ranges.get(line);
  return high > low ? Math.max(0, Math.min(1, (cost - low) / (high - low))) : 0;
}

function rangeOf(line) {
  const pairs = line.layers.flat();
  const costs = pairs.map(([, , cost]) => cost).filter((cost) => cost !== null);
  costs.sort((a, b) => a - b);
  const last = costs.length - 1;
  return [costs[Math.floor(RANGE[0] * last)], costs[Math.ceil(RANGE[1] * last)]];
}
