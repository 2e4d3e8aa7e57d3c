// The legend of the canvas: a switch for each group of boxes and each kind of line, with how many there are.
import { check, make } from "../dom.js";

/**
 * Rows of switches; `toggle` is told which group or line is switched on or off.
 * @param {import("./scene/model.js").Model} model
 * @param {(id: string, on: boolean) => void} toggle
 */
export function legendRows(model, toggle) {
  const { groups, lines } = model.scene;
  const chip = (x, mark) =>
    check(x.title, model.isShown(x.id), (on) => toggle(x.id, on), { says: x.says, id: x.id, mark, count: x.id });
  const boxes = groups.map((group) => chip(group, swatch(group)));
  const kinds = [
    { head: "To truth", lines: lines.filter((line) => line.to === "truth") },
    { head: "To teacher", lines: lines.filter((line) => line.to !== "truth") },
  ].filter((kind) => kind.lines.length);
  const lineRow = ({ head, lines }, k) => {
    const chips = lines.map((line) => chip(line, make("i", { class: `stroke ${line.look}` })));
    const title = "Lines between matched pairs";
    return row(`${title}: ${head}`, head, title, chips, k === kinds.length - 1 && costRamp());
  };
  return [row("Boxes", "Boxes", null, boxes), ...kinds.map(lineRow)];
}

function row(name, head, title, ...children) {
  return make(
    "div",
    { class: "row", role: "group", "aria-label": name },
    make("span", { class: "head", title }, head),
    children,
  );
}

function swatch({ id, role, extra }) {
  return make("i", { class: `swatch ${role}${extra ? " extra" : ""}${id === "teacher" ? " dashed" : ""}` });
}

function costRamp() {
  const title = "The colour of a line: from the lowest to the highest cost of its kind";
  return make("span", { class: "dd-ramp", title }, "lowest cost", make("i"), "highest");
}
