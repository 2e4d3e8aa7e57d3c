// The runs side by side, and which more are in the charts.
import { button, check, fixed, make } from "../../dom.js";
import { ask } from "../../server.js";
import { cell, faint, headRow, scroll, table } from "../blocks.js";
import { evidence } from "./card.js";

const SAYS = "What was trained, from the card and the log of each run. Up to 14 more runs can be drawn in the charts.";
const LEARNT = { student: "the truth alone", distilled: "a teacher" };
const MOST = 14;

/** Ids of runs as the address holds them. */
export const split = (text) => text.split(",").filter(Boolean).map(decodeURIComponent);
const join = (ids) => ids.map((id) => id.replace(/[%,]/g, encodeURIComponent)).join(",");

/** @param {import("../../types.js").App} app */
export function runsCard(app) {
  const card = evidence("runs", "The runs", SAYS);
  const more = make("details", { class: "dd-more", ontoggle: () => more.open && offer() });
  const list = make("div", { class: "dd-few" });
  card.node.append(more);
  more.append(make("summary", null, "More runs in the charts"), list);

  /** @param {import("./types.js").Recorded} recorded */
  function show({ runs, partners }, looks) {
    const { compare } = app.state.get();
    card.fill([runs.map(({ curve, ...rest }) => rest), partners, compare], () => [
      scroll(table(headRow(["Run", "Learnt from", "Seed", "Epochs", "Step", "AP"]), looks.flatMap(rows))),
      compare ? null : advice(partners),
    ]);
    if (more.open) offer();
  }

  function advice(partners) {
    if (!partners.length)
      return faint(
        "There is no run of the same training without, or with, a teacher here to compare this one with. Train one: " +
          "the same command without --teacher, or with it, and the same --seed.",
      );
    const compare = (id) => button(`Compare with ${id}`, () => app.state.set({ compare: id }), { "data-partner": id });
    return make("div", { class: "dd-few" }, partners.slice(0, 3).map(compare));
  }

  async function offer() {
    try {
      const { runs } = await ask("runs");
      const { run, compare, others } = app.state.get();
      const chosen = split(others);
      const free = runs.filter(({ id, lacks }) => !lacks && id !== run && id !== compare);
      const set = (id, on) => {
        const rest = split(app.state.get().others).filter((other) => other !== id);
        app.state.set({ others: join(on ? [...rest, id].slice(-MOST) : rest) });
      };
      const nodes = free.map(({ id }) => check(id, chosen.includes(id), (on) => set(id, on), { id: `also-${id}` }));
      list.replaceChildren(...(nodes.length ? nodes : [faint("There is no other run here.")]));
    } catch (error) {
      app.notify(error.message);
    }
  }

  return { node: card.node, show };
}

function rows({ run, role, title }) {
  const name = make("th", { scope: "row", title: run.id }, make("i", { class: `swatch ${role}` }), title);
  if (run.lacks) return [make("tr", null, name, cell(run.lacks, { colspan: 5, class: "lacks" }))];
  const { kind, seed, epochs, planned, step_seconds: step, ap, teacher, detector, data } = run;
  const trained = epochs < planned ? `${epochs} of ${planned}` : String(epochs);
  const timed = step === null ? "not timed" : `${fixed(step, 2)} s`;
  const last = ap.length ? fixed(ap.at(-1).ap, 1) : "–";
  const texts = [LEARNT[kind], seed, trained, timed, last].map(String);
  const own = make(
    "tr",
    { "data-run": run.id, title: `${detector}, ${data}` },
    name,
    texts.map((text) => cell(text)),
  );
  if (kind !== "distilled") return [own];
  const said = teacher === null ? "not measured" : fixed(teacher, 1);
  const its = make("th", { scope: "row", class: "its" }, make("i", { class: "swatch teacher" }), "its teacher");
  return [own, make("tr", null, its, cell("", { colspan: 4 }), cell(said))];
}
