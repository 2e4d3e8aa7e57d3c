// What lies under the mouse or has the focus is marked everywhere: on the canvas, in tables and in charts.
// A row, point or button that is about a box says so as data-item, such as "student.5".

/** The name that a box has in `data-item`. @param {{side: string, index: number}} item */
export const itemName = ({ side, index }) => `${side}.${index}`;

/** @returns {{side: string, index: number} | null} */
function itemOf(node) {
  const name = node instanceof Element && node.closest("[data-item]")?.getAttribute("data-item");
  const [side, index] = (name || "").split(".");
  return index ? { side, index: Number(index) } : null;
}

/**
 * Marks the nodes of a box, and those of no other.
 * @param {HTMLElement} root
 * @param {{side: string, index: number} | null} item
 */
export function markItem(root, item) {
  for (const node of root.querySelectorAll(".linked")) node.classList.remove("linked");
  if (!item) return;
  for (const node of root.querySelectorAll(`[data-item="${itemName(item)}"]`)) node.classList.add("linked");
}

/**
 * @param {HTMLElement} root
 * @param {(item: {side: string, index: number} | null) => void} hover
 */
export function linkHover(root, hover) {
  for (const name of ["pointerover", "focusin"]) {
    root.addEventListener(name, ({ target }) => {
      if (target instanceof Element && !target.closest(".dd-board")) hover(itemOf(target));
    });
  }
  root.addEventListener("pointerleave", () => hover(null));
}
