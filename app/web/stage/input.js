// Mouse and keys on the canvas: a click chooses a box, hovering describes it, arrow keys go from box to box.
import { make } from "../dom.js";
import { boxNode } from "./paint/overlay.js";
import { area } from "./scene/items.js";

/** @typedef {import("./scene/model.js").Model} Model */
/** @typedef {import("./scene/types.js").Item} Item */

/**
 * Listens to the overlay; returns the node that describes the box under the mouse.
 * @param {SVGElement} overlay
 * @param {Model} model
 * @param {{choose: (item: Item | null) => void, setLayer: (layer: number) => void}} actions
 */
export function listen(overlay, model, { choose, setLayer }) {
  const tip = make("span", { class: "dd-tip", hidden: true });
  let frame = 0;

  // The smallest box under the mouse; a second click at one place takes the next larger one.
  overlay.addEventListener("click", (event) => {
    const items = itemsUnder(event, overlay, model);
    choose(items[(items.indexOf(model.chosen) + 1) % Math.max(1, items.length)] || null);
  });
  overlay.addEventListener("mousemove", (event) => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => hover(event));
  });
  overlay.addEventListener("mouseleave", () => {
    cancelAnimationFrame(frame);
    leave();
  });
  overlay.addEventListener("keydown", (event) => {
    if (model.scene && press(event, model, choose, setLayer)) event.preventDefault();
  });

  function hover(event) {
    const [item] = itemsUnder(event, overlay, model);
    leave();
    if (!item) return;
    for (const pane of model.layout.panesOf(item)) {
      const node = boxNode(model, item, pane);
      node.classList.add("over");
      overlay.append(node);
    }
    const origin = tip.parentElement.getBoundingClientRect();
    tip.hidden = false;
    tip.textContent = model.describe(item);
    tip.style.left = `${event.clientX - origin.left}px`;
    tip.style.top = `${event.clientY - origin.top}px`;
  }

  function leave() {
    tip.hidden = true;
    for (const node of overlay.querySelectorAll(".dd-box.over")) node.remove();
  }

  return tip;
}

/**
 * The visible boxes under a point, the smallest first.
 * @param {MouseEvent} event
 * @param {SVGElement} overlay
 * @param {Model} model
 */
function itemsUnder(event, overlay, { visible, layout }) {
  if (!visible) return [];
  const rim = overlay.getBoundingClientRect();
  const { pane, x } = layout.under((event.clientX - rim.left) / rim.width);
  const y = (event.clientY - rim.top) / rim.height;
  const inside = ({ box: [x0, y0, x1, y1] }) => x0 <= x && x <= x1 && y0 <= y && y <= y1;
  const items = visible.items.filter((item) => layout.panesOf(item).includes(pane) && inside(item));
  return items.sort((a, b) => area(a.box) - area(b.box));
}

/**
 * Does what a key is for; false for other keys.
 * @param {KeyboardEvent} event
 * @param {Model} model
 */
function press(event, model, choose, setLayer) {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step) walk(step, model, choose);
  else if (event.key === "Escape") choose(null);
  else if (event.key === "PageDown") setLayer(model.layer + 1);
  else if (event.key === "PageUp") setLayer(model.layer - 1);
  else return false;
  return true;
}

/** Chooses the next visible box, or the one before: group after group, the highest score first. */
function walk(step, model, choose) {
  const sides = model.scene.groups.map((group) => group.id);
  const order = (a, b) => sides.indexOf(a.side) - sides.indexOf(b.side) || b.score - a.score || a.index - b.index;
  const items = [...model.visible.items].sort(order);
  if (!items.length) return;
  const at = items.indexOf(model.chosen);
  const first = step > 0 ? 0 : items.length - 1;
  choose(items[at < 0 ? first : (at + step + items.length) % items.length]);
}
