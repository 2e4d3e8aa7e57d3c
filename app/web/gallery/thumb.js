// One image of the strip, and the keys that go from one to the next.
import { make } from "../dom.js";

/** @param {import("./gallery.js").GalleryItem} item */
export function thumb({ key, name, picture, badge }, open, beyond) {
  const face = picture
    ? make("img", { src: picture, alt: "", draggable: "false" })
    : make("span", { class: "broken" }, "unreadable");
  const named = name + (badge ? `: ${badge}` : "");
  const attributes = {
    type: "button",
    class: "thumb",
    role: "option",
    title: named,
    "aria-label": named,
    "data-image": key,
    onclick: () => open(key),
    onkeydown: (event) => step(event, beyond),
  };
  return make("button", attributes, face, badge && make("b", null, badge));
}

/** Arrow keys go to the image before or after, and beyond the end of the strip to another page. */
function step(event, beyond) {
  const side = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
  if (!side) return;
  const next = event.currentTarget[side];
  if (next) go(next);
  else beyond(side);
  event.preventDefault();
}

/** @param {HTMLElement} node */
export function go(node) {
  node.focus();
  node.click();
}
