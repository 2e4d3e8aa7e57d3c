// The curves of a training: AP, losses and instability.
import { heading, make } from "../../dom.js";
import { curves } from "../../drawing/curves.js";

/** @typedef {import("./train.js").Report} Report */

const AP = "Measured after each epoch on the validation images: the mean over IoU 0.5 to 0.95.";
const LOSS = "The total of each step, and the weighted part of each loss in it.";
const EQUATION = "L = L_det + λ₁ L_logits + λ₂ L_feat + λ₃ L_assign";
const INSTABILITY = "Queries whose object differs from the layer before, mean over layers and images.";
const LOOKS = 5; // of the losses, each a colour and a dash of its own
const BY_EPOCH = { zero: true, whole: true };

/** @param {Report} report */
export function chartCards(report) {
  return [apCard(report), lossCard(report), instabilityCard(report)].filter(Boolean);
}

const card = (title, says, equation, body) =>
  make("section", { class: "dd-card" }, heading(title, says, equation), body);

/** The teacher's last value, as a line over all epochs; none where there is no value. */
function teacherSeries(points, epochs, scale = 1) {
  const value = points?.at(-1)?.[1] ?? null;
  if (value === null) return [];
  const ends = [1, Math.max(2, epochs)].map((epoch) => [epoch, scale * value]);
  return [{ title: "teacher", role: "teacher", dashed: true, points: ends }];
}

/** @param {Report} report */
function apCard({ ap, epochs }) {
  const points = (ap.student || []).map(([epoch, value]) => [epoch, value === null ? null : 100 * value]);
  const student = { title: "student", role: ap.teacher ? "distilled" : "student", points };
  const series = [student, ...teacherSeries(ap.teacher, epochs, 100)];
  return card("Average precision", AP, null, curves("Average precision", series, ["epoch", "AP"], BY_EPOCH));
}

/** @param {Report} report */
function lossCard({ losses, curve }) {
  const points = (name) => curve.map((step) => [step.step, step[name] ?? null]);
  const one = (name, k) => ({ title: name, role: `loss${1 + (k % LOOKS)}`, points: points(name) });
  const series = [{ title: "total", points: points("total") }, ...losses.map(one)];
  return card("Loss", LOSS, EQUATION, curves("Loss", series, ["step", "loss"], { zero: true }));
}

/** @param {Report} report */
function instabilityCard({ ap, instability: { student, teacher }, epochs }) {
  if (!student) return null;
  const role = ap.teacher ? "distilled" : "student";
  const series = [{ title: "student", role, points: student }, ...teacherSeries(teacher, epochs)];
  const chart = curves("Instability", series, ["epoch", "IS"], BY_EPOCH);
  return card("Instability", INSTABILITY, "IS = Σₙ 1[ Vₙ(k) ≠ Vₙ(k−1) ]", chart);
}
