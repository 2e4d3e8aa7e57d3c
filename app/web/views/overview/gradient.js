// Where the gradient goes, and what the doctor finds, in each run.
import { make, share } from "../../dom.js";
import { faint } from "../blocks.js";
import { evidence } from "./card.js";

const SAYS =
  "The share of each loss in the loss, and in the L2 norms of the gradient at the student’s neck and in its decoder, " +
  "at the end of training.";
const FINDINGS =
  "What python -m train doctor says of each run: from its log and its first 32 images, what is wrong, and which " +
  "setting to change.";
const PLACES = { decoder: "Gradient in the decoder", features: "Gradient at the features", share: "Loss" };
const LOOKS = 5;

export function gradientCard() {
  const card = evidence("gradient", "Where the gradient goes", SAYS);

  function show(looks) {
    const known = looks.filter(({ run }) => !run.lacks);
    card.fill(
      known.map(({ run, title }) => [run.pulls, title]),
      () => {
        const losses = [...new Set(known.flatMap(({ run }) => run.pulls.map(({ loss }) => loss)))];
        const role = (loss) => `loss${1 + (losses.indexOf(loss) % LOOKS)}`;
        const legend = losses.map((loss) => make("span", { class: role(loss) }, make("i", { class: "swatch" }), loss));
        return [make("div", { class: "dd-few" }, legend), ...known.map((look) => stacks(look, role))];
      },
    );
  }

  return { node: card.node, show };
}

function stacks({ run, title }, role) {
  const rows = Object.entries(PLACES).filter(([place]) => run.pulls.some((pull) => pull[place] !== null));
  const silent = rows.length === 1 ? faint("It did not log its gradient: train with --gradients-every 200.") : null;
  return make(
    "div",
    { class: "dd-stacks" },
    make("h3", null, title),
    rows.map((row) => stack(run, row, role)),
    silent,
  );
}

function stack(run, [place, name], role) {
  const said = run.pulls.map((pull) => `${pull.loss} ${share(pull[place] ?? 0)}`).join(", ");
  const part = (pull) => make("i", { class: role(pull.loss), style: `width:${100 * (pull[place] ?? 0)}%` });
  return make(
    "div",
    { class: "stack", title: said },
    make("span", null, name),
    make("span", { class: "track", role: "img", "aria-label": `${name}: ${said}` }, run.pulls.map(part)),
  );
}

export function findingsCard() {
  const card = evidence("findings", "What to change", FINDINGS);

  /** @param {import("./types.js").Verdict | null} verdict */
  function show(verdict, looks) {
    card.fill([verdict?.doctor, looks.map(({ title }) => title)], () =>
      (verdict?.doctor || []).map((diagnosis, k) => findings(diagnosis, looks[k]?.title || "")),
    );
  }

  return { node: card.node, show };
}

/** @param {import("./types.js").Diagnosis} diagnosis */
function findings({ state, seen, of, said, verdict, findings: found }, title) {
  const head = make("h3", null, title);
  if (state === "working") return make("div", null, head, faint(`Analysing image ${seen + 1} of ${of}`));
  if (state !== "made") return make("div", null, head, faint(said));
  const item = ({ title: name, evidence: why, setting }) =>
    make("li", null, make("b", null, name), ": ", why, "; ", setting);
  return make("div", null, head, found.length ? make("ol", null, found.map(item)) : make("p", null, verdict));
}
