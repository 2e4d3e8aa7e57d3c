// The mouse on the boxes: a click chooses one, hovering describes it.
import { make } from "../../dom.js";
import { area } from "../scene/items.js";

/** @typedef {import("../scene/model.js").Model} Model */
/** @typedef {import("../scene/types.js").Item} Item */

/**
 * Listens on the board; returns the node that describes the box under the mouse.
 * @param {HTMLElement} board
 * @param {SVGElement} overlay
 * @param {Model} model
 * @param {{choose: (item: Item | null) => void, hover: (item: Item | null) => void, isMoving: () => boolean}} actions
 */
export function listen(board, overlay, model, { choose, hover, isMoving }) {
  const tip = make("span", { class: "dd-tip", hidden: true });
  let frame = 0;

  // The smallest box under the mouse; a second click at one place takes the next larger one.
  overlay.addEventListener("click", (event) => {
    if (isMoving()) return;
    const items = itemsUnder(event, board, model);
    choose(items[(items.indexOf(model.chosen) + 1) % Math.max(1, items.length)] || null);
  });
  overlay.addEventListener("mousemove", (event) => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => show(event));
  });
  overlay.addEventListener("mouseleave", () => {
    cancelAnimationFrame(frame);
    leave();
  });

  function show(event) {
    const [item] = isMoving() ? [] : itemsUnder(event, board, model);
    if (!item) return leave();
    hover(item);
    const origin = board.getBoundingClientRect();
    const x = event.clientX - origin.left;
    tip.hidden = false;
    tip.textContent = model.describe(item);
    const most = origin.width - tip.offsetWidth - 16;
    tip.style.left = `${Math.max(0, Math.min(x, most))}px`;
    tip.style.top = `${event.clientY - origin.top}px`;
  }

  function leave() {
    tip.hidden = true;
    hover(null);
  }

  return tip;
}

/**
 * The visible boxes under a point, the smallest first.
 * @param {MouseEvent} event
 * @param {HTMLElement} board
 * @param {Model} model
 */
function itemsUnder(event, board, { visible, layout, view }) {
  if (!visible) return [];
  const rim = board.getBoundingClientRect();
  const { pane, x, y } = view.under(event.clientX - rim.left, event.clientY - rim.top);
  const inside = ({ box: [x0, y0, x1, y1] }) => x0 <= x && x <= x1 && y0 <= y && y <= y1;
  const items = visible.items.filter((item) => layout.panesOf(item).includes(pane) && inside(item));
  return items.sort((a, b) => area(a.box) - area(b.box));
}
