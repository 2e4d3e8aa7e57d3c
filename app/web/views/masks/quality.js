// The teacher's queries by quality, and the slider of gamma.
import { heading, make, share } from "../../dom.js";
import { itemName } from "../../link/hover.js";
import { card, faint, headRow } from "../blocks.js";

const SAYS =
  "How much a query’s mask counts: confident and well-placed queries count more. The loss takes the IoU with the " +
  "query’s own object, and 0 for an unmatched query.";
const HEADS = [
  ["#", ""],
  ["Query", "A teacher query; click it to see its mask"],
  ["Class", "Its class with the highest score"],
  ["c", "The score of that class"],
  ["IoU", "The highest IoU with an object"],
  ["q", "Quality: c to the power of gamma, times IoU to the power of 1 − gamma"],
  ["inside", "Share of its mask that is inside objects’ boxes"],
];

const HEAD = 24; // pixels of the column heads, which cover the first row

const NO_OBJECTS =
  "This image has no objects, so there is no IoU and no quality. The queries are in the order of their scores.";

/** @typedef {import("./types.js").MaskQuery} MaskQuery */

/** The queries by quality, or by score where there is none; the best first. */
export const ranked = (queries) =>
  [...queries].sort((a, b) => (b.quality ?? b.score) - (a.quality ?? a.score) || a.index - b.index);

/** @param {import("./types.js").Masks} masks */
export function qualityCard({ app, view, gamma, chosen, choose }) {
  const body = make("tbody");
  const output = make("output");
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.01, "aria-label": "Gamma", oninput: setGamma });
  const rows = new Map(); // by query
  const ranks = make("div", { class: "dd-ranks" }, rankTable(body));
  const title = heading("Teacher queries by quality", SAYS, "q = c^γ · IoU^(1 − γ),  Eq. 8");
  const label = gammaLabel(slider, output);
  const note = faint(NO_OBJECTS);
  const node = card("quality", title, label, note, ranks);

  function setGamma() {
    output.textContent = Number(slider.value).toFixed(2);
    app.state.set({ gamma: Number(slider.value) });
  }

  /** Another image or layer: other queries. */
  function build() {
    slider.value = String(gamma());
    output.textContent = gamma().toFixed(2);
    label.hidden = view().queries.every(({ quality }) => quality === null);
    note.hidden = !label.hidden;
    rows.clear();
    body.replaceChildren();
  }

  /** Sorts the queries, the best first. */
  function rank() {
    ranked(view().queries).forEach((query, k) => {
      const node = rowOf(query).fill(query, k);
      if (body.children[k] !== node) body.insertBefore(node, body.children[k] || null);
    });
  }

  function rowOf(query) {
    if (!rows.has(query.index)) rows.set(query.index, queryRow(query, choose));
    return rows.get(query.index);
  }

  function mark() {
    for (const [index, { node }] of rows) node.classList.toggle("chosen", index === chosen());
    reveal(ranks, rows.get(chosen())?.node);
  }

  return { node, build, rank, mark };
}

function gammaLabel(slider, output) {
  const [iou, score] = [make("small", null, "IoU"), make("small", null, "score")];
  return make("label", { class: "dd-gamma" }, make("span", null, "γ"), iou, slider, score, output);
}

const rankTable = (body) => make("table", { class: "dd-table" }, make("thead", null, headRow(HEADS)), body);

/** A row that stays while gamma changes; matched queries are marked, as only they count in the loss. */
function queryRow({ index, class: name }, choose) {
  const cells = HEADS.map(() => make("td"));
  const node = make(
    "tr",
    { "data-query": index, "data-item": itemName({ side: "teacher", index }), onclick: () => choose(index) },
    cells,
  );
  const [rank, query, category, score, overlap, quality, inside] = cells;
  query.append(make("button", { type: "button", class: "dd-link teacher" }, String(index)));
  category.textContent = name;
  const bar = quality.appendChild(make("i", { class: "bar teacher" }));
  const text = quality.appendChild(make("span"));

  /** @param {MaskQuery} q */
  function fill(q, k) {
    write(rank, String(k + 1));
    write(score, q.score.toFixed(3));
    write(overlap, q.overlap === null ? "–" : q.overlap.toFixed(3));
    write(text, q.quality === null ? "–" : q.quality.toFixed(3));
    write(inside, q.inside === null ? "–" : share(q.inside));
    bar.style.width = `${(100 * q.quality).toFixed(1)}%`;
    node.classList.toggle("counts", q.counts > 0);
    node.title =
      q.counts > 0
        ? `Counts ${q.counts.toFixed(3)} in the loss: it is matched with an object`
        : "Does not count in the loss: it is unmatched";
    return node;
  }

  return { node, fill };
}

/** Sets a text that is another: the browser lays out what is set, also if it is the same. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Scrolls the list alone: the page stays where it is. */
function reveal(list, node) {
  if (!node) return;
  const [a, b] = [node.getBoundingClientRect(), list.getBoundingClientRect()];
  if (a.top < b.top + HEAD) list.scrollTop -= b.top + HEAD - a.top;
  if (a.bottom > b.bottom) list.scrollTop += a.bottom - b.bottom;
}
