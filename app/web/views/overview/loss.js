// The loss of each run over its steps: smooth, on either axis, of all steps or of some.
import { button, check, choice, make } from "../../dom.js";
import { curves } from "../../drawing/curves.js";
import { evidence } from "./card.js";

const SAYS =
  "The total of each step, or the weighted part of one loss in it. Strong: the running mean; pale: the steps. The " +
  "axis ends where all but a few high values do. Drag over the chart to see a part of it.";

/** @param {import("../../types.js").App} app */
export function lossCard(app) {
  const card = evidence("loss", "Loss", SAYS);
  const chart = make("div");
  const tools = make("div", { class: "dd-few" });
  const { state } = app;
  let drawn = ""; // what the chart is made from

  function show(looks) {
    const known = looks.filter(({ run }) => !run.lacks);
    const of = known.map(({ run, role, title }) => [run.id, run.steps, role, title]);
    card.fill(of, () => [tools, chart]);
    build(known);
    redraw(known, of);
  }

  /** The controls, which keep the focus while the chart is drawn anew. */
  function build(known) {
    const { loss, log, smooth } = state.get();
    const names = ["total", ...new Set(known.flatMap(({ run }) => run.losses))];
    const options = names.map((id) => ({ id, title: id }));
    const key = JSON.stringify([names, loss, log]);
    if (tools.dataset.of === key) return sync();
    tools.dataset.of = key;
    const slider = make("input", {
      type: "range",
      min: 0,
      max: 0.99,
      step: 0.01,
      value: smooth,
      "aria-label": "Smoothing",
    });
    slider.addEventListener("input", () => state.set({ smooth: Number(slider.value) }));
    tools.replaceChildren(
      choice("Loss", options, names.includes(loss) ? loss : "total", (id) => state.set({ loss: id })),
      make("label", { class: "dd-floor" }, make("span", null, "Smoothing"), slider),
      check("Log axis", log, (on) => state.set({ log: on }), { id: "log" }),
      make("span", { class: "ends" }, steps("From step", 0), steps("to", 1)),
      button("All steps", () => state.set({ steps: "" })),
    );
    sync();
  }

  /** One end of the steps that are seen. */
  function steps(title, end) {
    const onchange = () => {
      const ends = view() || [1, last];
      ends[end] = Math.max(1, Math.round(Number(input.value)));
      if (ends[0] < ends[1]) state.set({ steps: ends.join("-") });
      else sync();
    };
    const input = make("input", {
      type: "number",
      min: 1,
      "aria-label": `${title} step`.replace("step step", "step"),
      onchange,
    });
    return make("label", { class: "dd-choice" }, make("span", null, title), input);
  }

  let last = 1; // step of all runs

  function view() {
    const ends = state.get().steps.split("-").map(Number);
    return ends.length === 2 && ends[0] < ends[1] ? ends : null;
  }

  function sync() {
    const shown = view() || [1, last];
    for (const [end, input] of [...tools.querySelectorAll("input[type=number]")].entries()) input.value = shown[end];
    tools.querySelector("input[type=range]").value = state.get().smooth;
  }

  /** Draws the chart, unless it shows the same already: anew it would interrupt a drag over it. */
  function redraw(known, of) {
    const { loss, log, smooth, steps: ends } = state.get();
    last = Math.max(1, ...known.map(({ run }) => run.steps));
    sync();
    const text = JSON.stringify([of, loss, log, smooth, ends]);
    if (text === drawn) return;
    drawn = text;
    const series = known.map(({ run, role, title }) => ({
      title,
      role,
      points: run.curve.map((step) => [step.step, step[loss] ?? null]),
    }));
    const choose = (from, to) => state.set({ steps: `${Math.max(1, Math.round(from))}-${Math.round(to)}` });
    const options = { zero: true, most: true, log, smooth, view: view(), choose };
    chart.replaceChildren(curves("Loss by step", series, ["step", loss], options));
  }

  return { node: card.node, show };
}
