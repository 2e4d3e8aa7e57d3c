// How high the canvas can be: from where it begins down to the end of the window.

/**
 * Tells the styles where the canvas begins, as `--top`, whenever what stands above it changes.
 * @param {HTMLElement} root
 * @param {HTMLElement[]} above
 */
export function keepRoom(root, above) {
  const measure = () => {
    const last = above.filter((node) => node.offsetHeight).map((node) => node.getBoundingClientRect().bottom);
    const top = Math.max(0, ...last) + window.scrollY;
    root.style.setProperty("--top", `${Math.round(top)}px`);
  };
  const observer = new ResizeObserver(measure);
  for (const node of above) observer.observe(node);
}
