// The legend of the canvas: a switch for each group of boxes and each kind of line, with how many there are.
import { check, make } from "../dom.js";

/** @typedef {import("./scene/types.js").Group} Group */
/** @typedef {import("./scene/types.js").Line} Line */

/**
 * A row for each group of boxes, with its lines to the truth beside it, and below them the lines to the teacher.
 * `toggle` is told which group or line is switched on or off.
 * @param {import("./scene/model.js").Model} model
 * @param {(id: string, on: boolean) => void} toggle
 */
export function legendRows(model, toggle) {
  const { groups, lines } = model.scene;
  const chip = (x, title, mark, says = x.says) =>
    check(title, model.isShown(x.id), (on) => toggle(x.id, on), { says, id: x.id, mark, count: x.id });
  const stroke = ({ look }) => make("i", { class: `stroke ${look}` });
  const toTruth = (group) => lines.find(({ from, to }) => from === group.id && to === "truth");
  const boxRow = (group) => {
    const line = toTruth(group);
    const matched = line && chip(line, "matched", stroke(line), `${line.title} to truth: ${line.says}`);
    return row("", chip(group, group.title, swatch(group)), matched);
  };
  const toTeacher = lines.filter(({ to }) => to !== "truth").map((line) => chip(line, line.title, stroke(line)));
  const others = toTeacher.length ? [row("queries", head("Query pairs"), make("div", null, toTeacher))] : [];
  return [row("", head("Boxes"), lines.length ? costRamp() : null), ...groups.map(boxRow), ...others];
}

const head = (text) => make("span", { class: "head" }, text);

const row = (look, ...children) => make("div", { class: `row ${look}` }, children);

function swatch({ id, role, extra }) {
  return make("i", { class: `swatch ${role}${extra ? " extra" : ""}${id === "teacher" ? " dashed" : ""}` });
}

function costRamp() {
  const title = "The colour of a line between matched boxes: from the lowest to the highest cost of its kind";
  return make("span", { class: "dd-ramp", title }, "lowest cost", make("i"), "highest");
}
