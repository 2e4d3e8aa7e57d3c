// Where labels go: beside their boxes, never cut off, never one over another, and never unclear whose they are.
import { holds } from "../scene/view.js";

/** @typedef {import("../scene/view.js").Rectangle} Rectangle */
/** @typedef {"nw" | "ne" | "sw" | "se"} Corner */

/**
 * A label to be placed: the size of its plate, its box, and the corner of the box that it goes to if it can.
 * @typedef {{width: number, height: number, box: Rectangle, corner: Corner}} Wanted
 */

/**
 * Where the plate is; `leader` is a line from the plate to the box where the plate lies in another box.
 * @typedef {{left: number, top: number, leader: [number, number][] | null}} Place
 */

const MOST = 40; // labels of a pane: more would hide the image
const ROOM = 12_000; // square pixels of a pane for each of its labels, so that a small one, as on a phone, has fewer
const FEWEST = 4; // that a pane has where they fit, however small it is
const TRIED = 240; // labels for which room is looked for
const AWAY = [10, 26, 44]; // pixels from a box's corner to a plate with a leader
/** @type {Corner[]} */
const CORNERS = ["nw", "ne", "sw", "se"];

/**
 * Places of labels, null for those that have no room; the first of the list are placed first.
 * A label stands at a corner of its box, outside or inside, where no other box holds it; where there is no such
 * corner, it stands off its box with a leader; and if there is no room for that either, it is hidden.
 * @param {Wanted[]} wanted
 * @param {Rectangle[]} boxes all that are drawn in the pane
 * @param {Rectangle} pane
 * @param {Rectangle[]} covered where no label can be seen
 * @returns {(Place | null)[]}
 */
export function placeLabels(wanted, boxes, pane, covered) {
  const taken = [...covered];
  const most = Math.max(FEWEST, Math.min(MOST, Math.floor((pane.width * pane.height) / ROOM)));
  return wanted.map((label, k) => {
    if (taken.length - covered.length >= most || k >= TRIED) return null;
    const size = { width: label.width, height: label.height };
    const isFree = ({ left, top }) => inside({ left, top, ...size }, pane) && isApart({ left, top, ...size }, taken);
    const own = clipped(label.box, pane);
    const beside = places(label, own).find(
      (place) => isFree(place) && !isForeign({ ...place, ...size }, label.box, boxes),
    );
    const place = beside || ledPlaces(label, own).find(isFree) || null;
    if (place) taken.push({ left: place.left, top: place.top, ...size });
    return place;
  });
}

/** The corners of a box, that of the label first. */
const cornersOf = ({ corner }) => [corner, ...CORNERS.filter((other) => other !== corner)];

/** Plates at the corners: first outside of the box, then inside. @returns {Place[]} */
function places(label, box) {
  const at = (corner, isInside) => {
    const left = corner[1] === "w" ? box.left - 1 : box.left + box.width + 1 - label.width;
    const upper = isInside ? box.top + 2 : box.top - label.height - 2;
    const lower = isInside ? box.top + box.height - label.height - 2 : box.top + box.height + 2;
    return {
      left: left + (isInside ? (corner[1] === "w" ? 3 : -3) : 0),
      top: corner[0] === "n" ? upper : lower,
      leader: null,
    };
  };
  const fits = label.width < box.width - 8 && label.height < box.height - 8;
  const corners = cornersOf(label);
  return [...corners.map((c) => at(c, false)), ...(fits ? corners.map((c) => at(c, true)) : [])];
}

/** Plates that stand off a corner, with a line to it: outside of the box first, then inside. @returns {Place[]} */
function ledPlaces(label, box) {
  const ways = [false, true].flatMap((isInside) => AWAY.map((away) => ({ isInside, away })));
  return ways.flatMap(({ isInside, away }) =>
    cornersOf(label).map((corner) => ledPlace(label, box, corner, isInside, away)),
  );
}

/** @returns {Place} */
function ledPlace({ width, height }, box, corner, isInside, away) {
  const [west, north] = [corner[1] === "w", corner[0] === "n"];
  const x = west ? box.left : box.left + box.width;
  const y = north ? box.top : box.top + box.height;
  const [before, above] = [west !== isInside, north !== isInside];
  const left = before ? x - away - width : x + away;
  const top = above ? y - away - height : y + away;
  return {
    left,
    top,
    leader: [
      [before ? left + width : left, above ? top + height : top],
      [x, y],
    ],
  };
}

/** Whether a plate lies in a box that is not its own. */
function isForeign({ left, top, width, height }, own, boxes) {
  const middle = /** @type {[number, number]} */ ([left + width / 2, top + height / 2]);
  return boxes.some((box) => box !== own && holds(box, middle));
}

const inside = (a, b) =>
  a.left >= b.left && a.top >= b.top && a.left + a.width <= b.left + b.width && a.top + a.height <= b.top + b.height;

const isApart = (a, others) =>
  !others.some(
    (b) =>
      a.left < b.left + b.width + 2 &&
      b.left < a.left + a.width + 2 &&
      a.top < b.top + b.height + 1 &&
      b.top < a.top + a.height + 1,
  );

/** The part of a box that its pane shows. @returns {Rectangle} */
function clipped(box, pane) {
  const left = Math.max(box.left, pane.left);
  const top = Math.max(box.top, pane.top);
  const right = Math.min(box.left + box.width, pane.left + pane.width);
  const bottom = Math.min(box.top + box.height, pane.top + pane.height);
  return { left, top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
}
