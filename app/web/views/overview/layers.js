// Agreement and stability of all analysed images, by decoder layer, and where their queries look.
import { fixed, make } from "../../dom.js";
import { curves } from "../../drawing/curves.js";
import { faint } from "../blocks.js";
import { evidence } from "./card.js";

const SAYS =
  "Over the first 500 images. Agreement: of student and teacher queries that are matched with one another, the share " +
  "of the same class and of the same object. Stability: the number of queries whose object differs from the layer " +
  "before.";
const INSTABILITY = "IS_k = Σₙ 1[ Vₙ(k) ≠ Vₙ(k−1) ]";
const MASKS =
  "The share of a query’s mask inside true boxes, by the query’s quality q* = score^0.5 × best IoU^0.5, over all " +
  "queries of the first 500 images. Dashed grey: a mask that is the same everywhere.";
const FEW = 20; // bins with fewer queries are not shown
const AGREED = { class: "same class", object: "same object" };

/** Measurements with the look of their run. @param {import("./types.js").Verdict | null} verdict */
const pairs = (verdict, looks) => (verdict?.measured || []).map((measured, k) => ({ measured, look: looks[k] }));

/** What is missing yet, or for good. */
function missing(all) {
  return all
    .filter(({ measured }) => !measured.student)
    .map(({ measured: { error, done, total }, look }) =>
      faint(error || `${look.title}: ${done < total ? `${done} of ${total} images analysed` : "measuring"}`),
    );
}

/** The measurements of the first run's teacher that has some. */
const teacherOf = (all) => all.map(({ measured }) => measured.teacher).find(Boolean);

/** The teacher's series; none where no run has a teacher. */
function teacherSeries(all, points) {
  const teacher = teacherOf(all);
  return teacher ? [{ title: "teacher", role: "teacher", dashed: true, points: points(teacher) }] : [];
}

export function layersCard() {
  const card = evidence("layers", "Agreement and stability by layer", SAYS, INSTABILITY);

  function show(verdict, looks) {
    const all = pairs(verdict, looks);
    card.fill(
      all.map(({ measured: { student, agreement, done, error }, look }) => [
        student || done,
        agreement,
        error,
        look.title,
      ]),
      () => {
        const known = all.filter(({ measured }) => measured.student);
        if (!known.length) return missing(all);
        const stable = (one) => one.instability.stages.map((value, k) => [k + 2, value]);
        const students = known.map(({ measured, look }) => ({ ...look, points: stable(measured.student) }));
        const options = { zero: true, whole: true };
        const agreed = known.flatMap(agreement);
        return [
          make("h3", null, "Agreement with the teacher"),
          agreed.length
            ? curves("Agreement", agreed, ["layer", "% of pairs"], options)
            : faint("None of these runs has a teacher with the same classes."),
          make("h3", null, "Changes of matches"),
          curves("Instability", [...students, ...teacherSeries(known, stable)], ["to layer", "IS"], options),
          ...missing(all),
        ];
      },
    );
  }

  return { node: card.node, show };
}

function agreement({ measured, look }) {
  if (!measured.agreement) return [];
  return Object.entries(AGREED).map(([key, name]) => ({
    title: `${look.title}, ${name}`,
    role: look.role,
    dashed: key === "object",
    points: measured.agreement[key].map((value, k) => [k + 1, value === null ? null : 100 * value]),
  }));
}

export function masksCard() {
  const card = evidence("masks", "Do better queries look into boxes?", MASKS);

  function show(verdict, looks) {
    const all = pairs(verdict, looks);
    card.fill(
      all.map(({ measured: { student, done, error }, look }) => [student || done, error, look.title]),
      () => {
        const known = all.filter(({ measured }) => measured.student);
        if (!known.length) return missing(all);
        const series = [
          ...known.map(({ measured, look }) => ({ ...look, points: inside(measured.student) })),
          ...teacherSeries(known, inside),
        ];
        if (!series.some(({ points }) => points.length))
          return [faint("No bin of quality has 20 queries of these images.")];
        const { area } = known[0].measured.student.masks;
        series.push({
          ...EVEN,
          points: [
            [0, area],
            [1, area],
          ],
        });
        const chart = curves("Mass inside boxes by quality", series, ["quality q*", "mass inside boxes"], {
          zero: true,
        });
        return [chart, ...correlations(known), ...missing(all)];
      },
    );
  }

  return { node: card.node, show };
}

const EVEN = { title: "even mask", role: "", dashed: true };

/** @param {import("./types.js").Measured} one */
function inside({ masks: { inside: values, count } }) {
  const points = values.map((value, k) => [(k + 0.5) / values.length, value]);
  return points.filter(([, value], k) => value !== null && count[k] >= FEW);
}

/** The rank correlation of quality and mass, of each student and of the teacher. */
function correlations(known) {
  const teacher = teacherOf(known);
  const all = known.map(({ measured, look }) => [look.title, measured.student.masks]);
  if (teacher) all.push(["teacher", teacher.masks]);
  const said = ([title, { correlation, error }]) =>
    `${title} ${fixed(correlation, 2)}${error === null ? "" : ` ± ${fixed(2 * error, 2)}`}`;
  const named = all.filter(([, { correlation }]) => correlation !== null).map(said);
  return named.length ? [faint(`Rank correlation, ± two standard errors over images: ${named.join(", ")}.`)] : [];
}
