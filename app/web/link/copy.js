// The button that copies the address of the view.
import { button } from "../dom.js";

const SAID = 2000; // milliseconds for which the button says that it is done
const SAYS = "The address of exactly this view, for somebody who has the same runs";

/** @param {import("../types.js").App} app */
export function copyLinkButton(app) {
  const node = button("Copy link", copy, { title: SAYS, "aria-live": "polite" });

  async function copy() {
    try {
      await navigator.clipboard.writeText(location.href);
      node.textContent = "Copied";
      setTimeout(() => node.replaceChildren("Copy link"), SAID);
    } catch {
      app.notify("The browser does not let the page copy; take the link from the address bar.");
    }
  }

  return node;
}
