// Keys on the canvas: from box to box, from layer to layer, nearer and farther.

/** @typedef {import("../scene/model.js").Model} Model */
/** @typedef {import("../scene/types.js").Item} Item */

/**
 * @typedef {object} Actions
 * @property {(item: Item | null) => void} choose
 * @property {(layer: number) => void} setLayer
 * @property {import("./gestures.js").Camera} camera
 * @property {() => void} fill the screen, or no longer
 */

export const KEYS =
  "Arrow keys go from box to box, Page up and Page down from layer to layer, Escape clears the selection. Plus and " +
  "minus zoom, Shift with an arrow key moves the image, 0 fits it, F fills the screen.";

const STEP = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
const MOVE = { ArrowRight: [-1, 0], ArrowDown: [0, -1], ArrowLeft: [1, 0], ArrowUp: [0, 1] };
const FAR = 80; // pixels that a key moves the image

/**
 * @param {SVGElement} overlay
 * @param {Model} model
 * @param {Actions} actions
 */
export function listenToKeys(overlay, model, actions) {
  overlay.addEventListener("keydown", (event) => {
    if (model.scene && press(event, model, actions)) event.preventDefault();
  });
}

/** Does what a key is for; false for other keys. */
function press(event, model, { choose, setLayer, camera, fill }) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const { key, shiftKey } = event;
  const others = {
    Escape: () => choose(null),
    PageDown: () => setLayer(model.layer + 1),
    PageUp: () => setLayer(model.layer - 1),
    "+": camera.nearer,
    "=": camera.nearer,
    "-": camera.farther,
    0: camera.fit,
    f: fill,
  };
  if (shiftKey && MOVE[key]) camera.move(MOVE[key][0] * FAR, MOVE[key][1] * FAR);
  else if (STEP[key]) walk(STEP[key], model, choose, camera);
  else if (others[key]) others[key]();
  else return false;
  return true;
}

/** Chooses the next visible box, or the one before: group after group, the highest score first. */
function walk(step, model, choose, camera) {
  const sides = model.scene.groups.map((group) => group.id);
  const order = (a, b) => sides.indexOf(a.side) - sides.indexOf(b.side) || b.score - a.score || a.index - b.index;
  const items = [...model.visible.items].sort(order);
  if (!items.length) return;
  const at = items.indexOf(model.chosen);
  const first = step > 0 ? 0 : items.length - 1;
  const item = items[at < 0 ? first : (at + step + items.length) % items.length];
  choose(item);
  camera.reveal(item);
}
