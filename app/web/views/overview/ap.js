// AP by epoch or by minute, and by size and class.
import { fixed, make, segments } from "../../dom.js";
import { curves } from "../../drawing/curves.js";
import { cell, faint, headRow, scroll, table } from "../blocks.js";
import { evidence } from "./card.js";

const SAYS = "Measured after each epoch on the validation images: the mean over IoU 0.5 to 0.95. Dashed: the teacher.";
const PARTS =
  "The last AP of each run, on the objects of one size as COCO has it (areas up to 32² pixels, up to 96², above) and " +
  "of one class. The bar is the difference between this run and the compared one.";
const WAYS = [
  { id: "epoch", title: "Epochs", says: "AP after each epoch" },
  { id: "minutes", title: "Minutes", says: "AP over the time that the steps of training took" },
];

/** @param {import("../../types.js").App} app */
export function apCard(app) {
  const card = evidence("ap", "Average precision", SAYS);
  const ways = segments("Over", WAYS, app.state.get().by, (by) => app.state.set({ by }));
  card.node.insertBefore(ways, card.node.lastChild);

  function show(looks) {
    const { by } = app.state.get();
    for (const input of ways.querySelectorAll("input")) input.checked = input.value === by;
    const known = looks.filter(({ run }) => !run.lacks);
    card.fill([by, known.map(({ run, role, title }) => [run.ap, run.teacher, role, title])], () => {
      const untimed = known.filter(({ run }) => by === "minutes" && run.ap.some((point) => point.minutes === null));
      const names = untimed.map(({ title }) => title).join(", ");
      return [
        curves("Average precision", series(known, by), [by, "AP"], { zero: true, whole: by === "epoch" }),
        names && faint(`Without timing.jsonl, so not over minutes: ${names}.`),
      ];
    });
  }

  return { node: card.node, show };
}

function series(known, by) {
  const lines = known.map(({ run, role, title }) => ({
    title,
    role,
    points: run.ap.filter((p) => p[by] !== null).map((p) => [p[by], p.ap]),
  }));
  const last = Math.max(...lines.flatMap(({ points }) => points.map(([at]) => at)));
  const withTeacher = known.filter(({ run }) => run.teacher !== null);
  const values = new Map(withTeacher.map(({ run, title }) => [run.teacher, title]));
  const level = ([value, title]) => {
    const name = values.size > 1 ? `teacher of ${title}` : "teacher";
    return {
      title: name,
      role: "teacher",
      dashed: true,
      points: [
        [0, value],
        [Math.max(1, last), value],
      ],
    };
  };
  return [...lines, ...[...values].map(level)];
}

export function partsCard() {
  const card = evidence("parts", "By size and class", PARTS);

  /** @param {boolean} compared whether the second run is the one to compare with */
  function show(looks, compared) {
    const known = looks.filter(({ run }) => run.scores?.student);
    card.fill([compared, known.map(({ run, role, title }) => [run.scores, role, title])], () => {
      if (!known.length) return [faint("AP was not measured.")];
      const columns = known.map(({ run, role, title }) => ({ title, role, parts: run.scores.student }));
      const teacher = known.map(({ run }) => run.scores.teacher).find(Boolean);
      if (teacher) columns.push({ title: "teacher", role: "teacher", parts: teacher });
      const change = compared && known.length > 1 && known[1].run === looks[1].run;
      return ["sizes", "classes"].map((part) => partTable(part, columns, change));
    });
  }

  return { node: card.node, show };
}

const TITLES = { sizes: "Objects", classes: "Class" };

function partTable(part, columns, change) {
  const names = [...new Set(columns.flatMap(({ parts }) => Object.keys(parts[part])))];
  const rows = names
    .map((name) => ({ name, values: columns.map(({ parts }) => parts[part][name] ?? null) }))
    .filter(({ values }) => values.some((value) => value !== null))
    .map(({ name, values }) => ({ name, values, apart: change ? difference(values) : null }));
  if (part === "classes") rows.sort((a, b) => Math.abs(b.apart ?? 0) - Math.abs(a.apart ?? 0));
  const most = Math.max(1, ...rows.map(({ apart }) => Math.abs(apart ?? 0)));
  const head = [TITLES[part], ...columns.map(({ title }) => title), ...(change ? ["difference", ""] : [])];
  return scroll(
    table(
      headRow(head),
      rows.map((row) => partRow(row, change, most)),
    ),
  );
}

const difference = ([a, b]) => (a === null || b === null ? null : a - b);

function partRow({ name, values, apart }, change, most) {
  const number = (value) => cell(value === null ? "–" : fixed(value, 1));
  const said = apart === null ? "–" : `${apart > 0 ? "+" : ""}${fixed(apart, 1)}`;
  const nodes = change ? [cell(said, { class: "strong" }), make("td", { class: "bars" }, bar(apart ?? 0, most))] : [];
  return make("tr", { "data-name": name }, make("th", { scope: "row" }, name), values.map(number), nodes);
}

/** A bar to the right of the middle for a gain, to the left for a loss. */
function bar(apart, most) {
  const width = (50 * Math.abs(apart)) / most;
  const left = apart >= 0 ? 50 : 50 - width;
  return make("i", { class: `apart ${apart >= 0 ? "up" : "down"}`, style: `left:${left}%;width:${width}%` });
}
