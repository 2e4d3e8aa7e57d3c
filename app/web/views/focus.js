// Where the keyboard is stays where it was when a panel is filled anew.

/**
 * Fills a panel; if the focus was in it and its node is gone, it goes to the panel's heading, or to the button at the
 * same place where `places` are kept.
 * @param {HTMLElement} panel
 * @param {() => void} fill
 * @param {{places?: boolean}} options
 */
export function keepFocus(panel, fill, { places = false } = {}) {
  const buttons = () => /** @type {HTMLElement[]} */ ([...panel.querySelectorAll("button")]);
  const focused = document.activeElement;
  const at = buttons().indexOf(/** @type {HTMLElement} */ (focused));
  fill();
  if (at < 0 || panel.contains(focused)) return;
  const heading = panel.querySelector("h2");
  const next = places ? buttons()[at] : heading;
  if (next === heading) heading?.setAttribute("tabindex", "-1");
  next?.focus({ preventScroll: true });
}
