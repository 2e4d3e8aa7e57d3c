// One sentence at the foot of the page, which goes away by itself.
import { make } from "./dom.js";

const SHOWN = 12000; // milliseconds

export function messageLine() {
  const text = make("span");
  const close = make("button", { type: "button", "aria-label": "Close", onclick: hide }, "×");
  const node = make("div", { class: "dd-message", role: "alert", hidden: true }, text, close);
  let timer = 0;

  function hide() {
    node.hidden = true;
  }

  function show(sentence) {
    text.textContent = sentence;
    node.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(hide, SHOWN);
  }

  return { node, show };
}
