// SVG of the page with the look that style sheets give it written into it, so that it looks so elsewhere.
import { plain } from "./colour.js";

const COLOURS = ["fill", "stroke"];
const KEPT = [
  ...[
    "stroke-width",
    "stroke-dasharray",
    "stroke-linejoin",
    "fill-opacity",
    "stroke-opacity",
    "opacity",
    "paint-order",
  ],
  ...["font-size", "font-weight", "font-family", "text-anchor", "shape-rendering", "display"],
];

/**
 * A copy of a node and of all in it.
 * @param {Element} node
 * @returns {Element}
 */
export function inlined(node) {
  const copy = /** @type {Element} */ (node.cloneNode(true));
  const copies = [copy, ...copy.querySelectorAll("*")];
  [node, ...node.querySelectorAll("*")].forEach((original, k) => {
    const look = getComputedStyle(original);
    for (const name of COLOURS) {
      const value = look.getPropertyValue(name);
      if (value === "none" || value.startsWith("url")) copies[k].setAttribute(name, value);
      else setColour(copies[k], name, value);
    }
    const style = KEPT.map((name) => `${name}:${look.getPropertyValue(name)}`).join(";");
    copies[k].setAttribute("style", style.replaceAll('"', "'"));
    copies[k].removeAttribute("class");
  });
  return copy;
}

function setColour(node, name, value) {
  const { colour, opacity } = plain(value);
  node.setAttribute(name, opacity ? colour : "none");
}
