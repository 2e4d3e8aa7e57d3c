// Class and score beside boxes, as many labels as fit without one over another.
import { draw, percent } from "../../dom.js";

const NARROW = 120; // pixels of a box over which two labels do not fit side by side
const LETTER = 6.4; // pixels, about
const HEIGHT = 12;

/**
 * Labels of the chosen item first, then of the truth, then by score.
 * @param {import("../scene/model.js").Model} model
 * @param {import("../scene/types.js").Item[]} items
 */
export function labels(model, items) {
  const { chosen, layout } = model;
  const order = (item) => (item === chosen ? 3 : item.side === "truth" ? 2 : 0) + item.score;
  const sorted = [...items].sort((a, b) => order(b) - order(a));
  const all = sorted.flatMap((item) => layout.panesOf(item).map((pane) => label(model, item, pane)));
  const taken = [];
  return all.filter((node) => {
    const place = placeOf(node, model.size);
    const free = !taken.some((other) => overlap(place, other));
    if (free) taken.push(place);
    return free;
  });
}

function placeOf(node, size) {
  const width = LETTER * node.textContent.length;
  const attribute = (name) => Number.parseFloat(node.getAttribute(name));
  const anchor = (attribute("x") / 100) * size.width;
  const x = node.getAttribute("text-anchor") === "end" ? anchor - width : anchor;
  return { x, y: (attribute("y") / 100) * size.height + attribute("dy"), width };
}

const overlap = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width && Math.abs(a.y - b.y) < HEIGHT;

function label(model, item, pane) {
  const { x, y, dy, anchor } = corner(model, item);
  const attributes = {
    class: `dd-name ${item.group.role}`,
    x: percent(model.layout.across(x, pane)),
    y: percent(y),
    dy,
    "text-anchor": anchor,
  };
  return draw("text", attributes, textOf(model, item));
}

function textOf(model, item) {
  const name = model.classOf(item);
  return item.group.role === "truth" ? name + changeOf(model.scene, item) : `${name} ${Math.round(100 * item.score)}`;
}

/** What the first student finds and the second does not, or the other way round. */
function changeOf(scene, item) {
  const change = scene.changes?.[item.index];
  return change === "gained" || change === "lost" ? ` · ${change}` : "";
}

/** Each role has its own corner of the box, so that the labels of matched boxes are apart. */
function corner({ layout, size }, { box: [x0, y0, x1, y1], group, side }) {
  if (group.role === "truth") return { x: x0, y: y1, dy: 13, anchor: "start" };
  if (group.role === "teacher") return { x: x1, y: y0, dy: -5, anchor: "end" };
  if (side === "other") return { x: x1, y: y1, dy: 13, anchor: "end" };
  const narrow = (x1 - x0) * layout.width * size.width < NARROW;
  return { x: x0, y: y0, dy: narrow && layout.names.length === 1 ? -17 : -5, anchor: "start" };
}
