// What there is to see in one layer of a scene: boxes as items, and the pairs between them. Nothing is drawn here.
const center = box => [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
const area = box => Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]);

// A layer of a scene, ready to be asked: items by side and index.
function layerOf(scene, layer) {
  const sides = {};
  for (const g of scene.groups) {
    const {boxes, scores, labels} = g.layers[Math.min(layer, g.layers.length - 1)];
    sides[g.id] = boxes.map((box, index) => ({side: g.id, index, box, score: scores ? scores[index] : 1, label: labels[index], group: g}));
  }
  const lines = scene.lines.map(line => ({line, pairs: line.layers[Math.min(layer, line.layers.length - 1)].map(([from, to, cost]) => ({line, cost, from: sides[line.from][from], to: sides[line.to][to]}))}));
  return {layer, sides, lines, find: item => item && sides[item.side] ? sides[item.side][item.index] || null : null};
}

// The least score of a box that is drawn: the slider's, and that of the last of the best so many.
function least(items, look) {
  if (!look.top || !items.length || items[0].group.id === 'truth') return look.floor;
  const scores = items.map(i => i.score).sort((a, b) => b - a);
  return Math.max(look.floor, scores[Math.min(look.top, scores.length) - 1]);
}

// Pairs of the lines that are switched on, and all those of what is chosen; then the boxes, these pairs' ends among them.
function visible(now, look, chosen) {
  const wanted = item => look.label === null || item.label === look.label;
  const pairs = [], items = new Set(), near = new Set();
  for (const {line, pairs: all} of now.lines) for (const pair of all) {
    const ends = pair.from === chosen || pair.to === chosen;
    if (ends) near.add(pair.from).add(pair.to);
    if (ends || (!look.hidden.has(line.id) && wanted(pair.from) && wanted(pair.to))) pairs.push(ends ? {...pair, ends} : pair);
  }
  for (const [side, all] of Object.entries(now.sides)) if (!look.hidden.has(side)) {
    const from = least(all, look);
    for (const item of all) if (item.score >= from && wanted(item)) items.add(item);
  }
  for (const {from, to, ends} of pairs) for (const end of [from, to]) if (ends || !look.hidden.has(end.side)) items.add(end);
  if (chosen) items.add(chosen);
  return {pairs, items: [...items], near};
}

// From the colour of the cheapest pair to that of the dearest.
const COSTS = [START.colours.cheap, START.colours.match, START.colours.dear].map(rgb);
function costColour(dear) {
  const part = 2 * dear, [a, b] = part < 1 ? [COSTS[0], COSTS[1]] : [COSTS[1], COSTS[2]];
  return `rgb(${a.map((c, k) => Math.round(c + (part < 1 ? part : part - 1) * (b[k] - c))).join(' ')})`;
}

// Where a cost lies between the cheapest and the dearest of its kind, over all layers.
function dearness(line, cost) {
  if (cost === null) return 0.5;
  if (!line.range) {
    const all = line.layers.flat().map(pair => pair[2]).filter(c => c !== null).sort((a, b) => a - b);
    line.range = [all[Math.floor(0.02 * (all.length - 1))], all[Math.ceil(0.98 * (all.length - 1))]];
  }
  const [low, high] = line.range;
  return high > low ? Math.max(0, Math.min(1, (cost - low) / (high - low))) : 0;
}
