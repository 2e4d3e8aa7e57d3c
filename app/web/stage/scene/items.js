// What there is to see in one layer of a scene: boxes as items, and the pairs between them. Nothing is drawn here.

/** @typedef {import("./types.js").Item} Item */
/** @typedef {import("./types.js").Pair} Pair */
/** @typedef {import("./types.js").LayerItems} LayerItems */

export const center = (box) => [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
export const area = (box) => Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]);

/** The element of a layer; an array of one holds for all layers. */
const ofLayer = (layers, layer) => layers[Math.min(layer, layers.length - 1)];

/**
 * @param {import("./types.js").Scene} scene
 * @param {number} layer
 * @returns {LayerItems}
 */
export function itemsOfLayer(scene, layer) {
  const sides = Object.fromEntries(scene.groups.map((group) => [group.id, itemsOf(group, layer)]));
  const lines = scene.lines.map((line) => ({ line, pairs: pairsOf(line, layer, sides) }));
  return { layer, sides, lines, find: ({ side, index }) => sides[side]?.[index] || null };
}

function itemsOf(group, layer) {
  const { boxes, scores, labels } = ofLayer(group.layers, layer);
  return boxes.map((box, index) => {
    const score = scores ? scores[index] : 1;
    return { side: group.id, index, box, score, label: labels[index], group };
  });
}

function pairsOf(line, layer, sides) {
  const { from: a, to: b } = line;
  return ofLayer(line.layers, layer).map(([from, to, cost]) => ({
    line,
    cost,
    from: sides[a][from],
    to: sides[b][to],
  }));
}

/**
 * What is drawn: the pairs of the lines that are switched on and those of the chosen item; the boxes that are switched
 * on and score enough, the ends of these pairs, and the chosen item. `near` are the ends of the chosen item's pairs.
 * @param {LayerItems} current
 * @param {import("./model.js").Options} options
 * @param {Item | null} chosen
 */
export function visible(current, options, chosen) {
  const shown = (id) => !options.hidden.has(id);
  const pairs = visiblePairs(current, options, chosen);
  /** @type {Set<Item>} */
  const near = new Set(pairs.filter((p) => p.ends).flatMap((p) => [p.from, p.to]));
  const sides = Object.entries(current.sides).filter(([side]) => shown(side));
  const items = new Set(sides.flatMap(([, items]) => passing(items, options)));
  for (const { from, to, ends } of pairs) for (const end of [from, to]) if (ends || shown(end.side)) items.add(end);
  if (chosen) items.add(chosen);
  return { pairs, items: [...items], near };
}

const isOfClass = ({ label }, options) => options.label === null || label === options.label;

/** @returns {Pair[]} those whose ends are both of the class that is shown */
export const pairsOfClass = (pairs, options) =>
  pairs.filter(({ from, to }) => isOfClass(from, options) && isOfClass(to, options));

/** @returns {Pair[]} */
function visiblePairs({ lines }, options, chosen) {
  const ofChosen = (pair) => pair.from === chosen || pair.to === chosen;
  return lines.flatMap(({ line, pairs }) => {
    const shown = new Set(options.hidden.has(line.id) ? [] : pairsOfClass(pairs, options));
    return pairs
      .filter((pair) => ofChosen(pair) || shown.has(pair))
      .map((pair) => (ofChosen(pair) ? { ...pair, ends: true } : pair));
  });
}

/** The boxes of a side that score enough and are of the class that is shown. @returns {Item[]} */
export function passing(items, options) {
  const least = leastScore(items, options);
  return items.filter((item) => item.score >= least && isOfClass(item, options));
}

/** The slider's minimum score, or the score of the last of the best `top` if that is higher. */
function leastScore(items, { top, minScore }) {
  if (!top || !items.length || items[0].group.id === "truth") return minScore;
  const scores = items.map((item) => item.score).sort((a, b) => b - a);
  return Math.max(minScore, scores[Math.min(top, scores.length) - 1]);
}
