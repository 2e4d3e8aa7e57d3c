// Class and score beside boxes, on plates that can be read over any image.
import { draw } from "../../dom.js";
import { placeLabels } from "./place_labels.js";
import { platesOf } from "./trails.js";

const HEIGHT = 17; // pixels of a plate
const SIDES = 12; // pixels left and right of a text, with the stripe of its colour
const CORNERS = { truth: "sw", teacher: "ne", other: "se" };

/** @typedef {import("../scene/model.js").Model} Model */
/** @typedef {import("../scene/types.js").Item} Item */

/**
 * A node of a label, beside a corner of its item's box that was at `left` and `top`.
 * @typedef {{node: SVGElement, item: Item, pane: number, left: number, top: number}} Anchored
 * @typedef {{nodes: SVGElement[], anchored: Anchored[], shown: number, all: number}} Labels
 */

const widths = new Map(); // pixels by text
let ruler = null;
document.fonts.addEventListener("loadingdone", () => widths.clear());

function widthOf(text) {
  if (!ruler) {
    ruler = document.createElement("canvas").getContext("2d");
    ruler.font = `600 11.5px ${getComputedStyle(document.querySelector(".dd-page")).fontFamily}`;
  }
  if (!widths.has(text)) widths.set(text, Math.ceil(ruler.measureText(text).width) + SIDES);
  return widths.get(text);
}

/**
 * Labels of the chosen item first, then of the truth, then by score; of the boxes that are in view.
 * @param {Model} model
 * @param {Item[]} named
 * @returns {Labels}
 */
export function labels(model, named) {
  const { chosen, layout, visible, view } = model;
  const order = (item) => (item === chosen ? 3 : item.side === "truth" ? 2 : 0) + item.score;
  const sorted = [...named].sort((a, b) => order(b) - order(a));
  /** @type {Anchored[]} */
  const plates = [];
  /** @type {Anchored[]} */
  const leaders = [];
  let all = 0;
  for (let pane = 0; pane < view.count; pane++) {
    const rim = view.pane(pane);
    const boxes = new Map(
      visible.items
        .filter((item) => layout.panesOf(item).includes(pane))
        .map((item) => [item, view.box(item.box, pane)]),
    );
    const inView = sorted.filter((item) => boxes.has(item) && meet(boxes.get(item), rim));
    const wanted = inView.map((item) => ({
      width: widthOf(textOf(model, item)),
      height: HEIGHT,
      box: boxes.get(item),
      corner: cornerOf(item),
    }));
    const places = placeLabels(wanted, [...boxes.values()], rim, [...model.covered, ...platesOf(model, pane)]);
    all += inView.length;
    places.forEach((place, k) => {
      const { left, top } = wanted[k].box;
      const at = { item: inView[k], pane, left, top };
      if (place) plates.push({ ...at, node: plateNode(model, inView[k], place, wanted[k].width) });
      if (place?.leader) leaders.push({ ...at, node: leaderNode(inView[k], place) });
    });
  }
  const anchored = [...leaders, ...plates];
  return { nodes: anchored.map(({ node }) => node), anchored, shown: plates.length, all };
}

/**
 * Moves labels with their boxes, without looking for better places: quick enough for each frame of a gesture.
 * @param {Model} model
 * @param {Anchored[]} anchored
 */
export function followBoxes({ view }, anchored) {
  for (const { node, item, pane, left, top } of anchored) {
    const now = view.box(item.box, pane);
    node.setAttribute("transform", `translate(${now.left - left} ${now.top - top})`);
    node.setAttribute("display", meet(now, view.pane(pane)) ? "inline" : "none");
  }
}

/** Each role has its own corner of the box, so that the labels of matched boxes are apart. */
const cornerOf = ({ group, side }) => CORNERS[group.role] || CORNERS[side] || "nw";

const meet = (a, b) =>
  a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;

/** A line from a plate to its box, where the plate stands off it. */
function leaderNode({ group }, { leader }) {
  const [[cx, cy], points] = [leader[1], leader.join(" ")];
  const lines = ["dd-leader under", "dd-leader"].map((look) => draw("polyline", { class: look, points }));
  return draw("g", { class: `dd-name ${group.role}` }, lines, draw("circle", { cx, cy, r: 2.2 }));
}

function plateNode(model, item, { left: x, top: y, leader }, width) {
  const look = `dd-name ${item.group.role}${leader ? " led" : ""}`;
  return draw(
    "g",
    { class: look, "data-of": `${item.side}.${item.index}` },
    draw("rect", { class: "plate", x, y, width, height: HEIGHT, rx: 3 }),
    draw("rect", { class: "stripe", x, y, width: 4, height: HEIGHT, rx: 2 }),
    draw("text", { x: x + 8, y: y + 12.5 }, textOf(model, item)),
  );
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
