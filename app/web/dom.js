// Elements from plain data. Text goes in as text nodes only, so a class name with markup in it stays a class name.
const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; attributes whose name begins with "on" are listeners, false and null leave an attribute out. */
export function make(tag, attributes, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function draw(tag, attributes, ...children) {
  return furnish(document.createElementNS(SVG, tag), attributes, children);
}

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined)
      node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// Numbers as people write them.
export const minus = (text) => text.replace("-", "−");
export const fixed = (value, digits = 3) => minus(value.toFixed(digits));
export const short = (value) =>
  minus(Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2));
export const share = (value) => `${(100 * value).toFixed(value < 0.0995 ? 1 : 0)}%`;
export const percent = (value) => `${(100 * value).toFixed(3)}%`;

/**
 * A switch with a label, and a number of what it switches.
 * @param {string} title
 * @param {boolean} on
 * @param {(on: boolean) => void} change
 * @param {{says?: string, id?: string, mark?: Node, count?: string}} options `says` explains the switch
 */
export function check(title, on, change, { says, id, mark, count } = {}) {
  const input = make("input", { type: "checkbox", checked: on, onchange: (event) => change(event.target.checked) });
  const number = count && make("span", { class: "count", "data-count": id });
  return make(
    "label",
    { class: "dd-chip", title: says, "data-toggle": id },
    input,
    mark,
    make("span", null, title),
    number,
  );
}

/**
 * A list to choose one from.
 * @param {string} name
 * @param {{id: string, title: string}[]} options
 * @param {string} value id of the one that is chosen
 * @param {(id: string) => void} change
 * @param {{says?: string}} more
 */
export function choice(name, options, value, change, { says } = {}) {
  const entries = options.map((o) => make("option", { value: o.id, selected: o.id === value }, o.title));
  const listen = (event) => change(event.target.value);
  const select = make("select", { "aria-label": name, title: says, onchange: listen }, entries);
  select.value = value;
  return make("label", { class: "dd-choice", title: says }, make("span", null, name), select);
}

/** One of a few, side by side; arrow keys go between them as in a group of radio buttons. */
export function segments(name, options, value, change) {
  const group = `dd-${name}-${Math.random().toString(36).slice(2)}`;
  const radio = ({ id }) =>
    make("input", { type: "radio", name: group, value: id, checked: id === value, onchange: () => change(id) });
  const labels = options.map((o) => make("label", { title: o.says }, radio(o), make("span", null, o.title)));
  return make("div", { class: "dd-segments", role: "radiogroup", "aria-label": name }, labels);
}

/** A slider. @param {{min: number, max: number, step: number}} limits */
export function range(limits, name, change) {
  const oninput = (event) => change(Number(event.target.value));
  return make("input", { type: "range", ...limits, "aria-label": name, oninput });
}

/** A button without further meaning than its text. */
export function button(text, onclick, attributes) {
  return make("button", { type: "button", class: "dd-button", onclick, ...attributes }, text);
}

/** A question mark that answers: one sentence, and the equation behind it where there is one. */
export function help(says, equation) {
  const box = make("span", { class: "dd-help", role: "tooltip" }, says, equation && make("code", null, equation));
  const label = says + (equation ? ` ${equation}` : "");
  return make("button", { type: "button", class: "dd-ask", "aria-label": label }, "?", box);
}

export function heading(title, says, equation) {
  return make("h2", null, title, says && help(says, equation));
}
