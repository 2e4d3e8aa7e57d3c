// Zoom and pan: the wheel, two fingers, a drag, and what buttons and keys ask for.
import { center } from "../scene/items.js";
import { FIT, write } from "../scene/zoom.js";

/**
 * @typedef {object} Camera
 * @property {() => void} nearer
 * @property {() => void} farther
 * @property {() => void} fit
 * @property {(dx: number, dy: number) => void} move the image by so many pixels
 * @property {(item: import("../scene/types.js").Item) => void} reveal a box, if it is out of view
 * @property {() => boolean} isMoving whether the pointer moves the image, or just did
 */

const STEP = 1.5; // of a button or a key
const STILL = 4; // pixels within which a drag is a click
const LINE = 16; // pixels of a line, in which some mice count

/**
 * @param {SVGElement} overlay
 * @param {import("../scene/model.js").Model} model
 * @param {(zoom: string) => void} show a zoom, as the address has it
 * @returns {Camera}
 */
export function gestures(overlay, model, show) {
  /** @type {Map<number, {x: number, y: number}>} the fingers or buttons that are down */
  const down = new Map();
  let moved = 0; // pixels, since the first went down

  const go = (zoom) => show(write(zoom));
  const middle = () => /** @type {const} */ ([model.size.width / 2, model.size.height / 2]);
  const zoom = (factor, x, y) => go(model.view.zoomed(factor, x, y));
  const move = (dx, dy) => go(model.view.panned(dx, dy));

  function at(event) {
    const rim = overlay.getBoundingClientRect();
    return { x: event.clientX - rim.left, y: event.clientY - rim.top };
  }

  // Where the image fits already, the wheel scrolls the page.
  function turn(event) {
    if (!model.scene || (event.deltaY >= 0 && model.view.zoom.scale === 1)) return;
    event.preventDefault();
    const { x, y } = at(event);
    const pixels = event.deltaY * (event.deltaMode ? LINE : 1);
    zoom(Math.exp(-Math.max(-120, Math.min(120, pixels)) * (event.ctrlKey ? 0.01 : 0.003)), x, y);
  }

  function press(event) {
    if (event.button || !model.scene) return;
    if (!down.size) moved = 0;
    down.set(event.pointerId, at(event));
  }

  function drag(event) {
    const before = down.get(event.pointerId);
    if (!before) return;
    const now = at(event);
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    moved += Math.hypot(now.x - before.x, now.y - before.y);
    if (moved < STILL && !other) return;
    down.set(event.pointerId, now);
    if (!overlay.hasPointerCapture(event.pointerId)) overlay.setPointerCapture(event.pointerId);
    if (other) pinch(before, now, other);
    else move(now.x - before.x, now.y - before.y);
  }

  /** One of two fingers went from `before` to `now`. */
  function pinch(before, now, other) {
    const apart = (a) => Math.max(1, Math.hypot(a.x - other.x, a.y - other.y));
    moved = STILL;
    zoom(apart(now) / apart(before), (before.x + other.x) / 2, (before.y + other.y) / 2);
    move((now.x - before.x) / 2, (now.y - before.y) / 2);
  }

  function reveal(item) {
    const [x, y] = center(item.box);
    const [pane] = model.layout.panesOf(item);
    if (!model.view.shows([x, y], pane)) go({ ...model.view.zoom, x, y });
  }

  overlay.addEventListener("wheel", turn, { passive: false });
  overlay.addEventListener("pointerdown", press);
  overlay.addEventListener("pointermove", drag);
  for (const end of ["pointerup", "pointercancel"])
    overlay.addEventListener(end, (event) => down.delete(/** @type {PointerEvent} */ (event).pointerId));
  return {
    nearer: () => zoom(STEP, ...middle()),
    farther: () => zoom(1 / STEP, ...middle()),
    fit: () => go(FIT),
    move,
    reveal,
    isMoving: () => moved >= STILL,
  };
}
