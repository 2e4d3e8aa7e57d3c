// A row for each object, with a ribbon for each detector: the query of the object in each layer or at each epoch.
import { fixed, make, short } from "../../dom.js";
import { itemName } from "../../link/hover.js";
import { changeMark } from "../change.js";

const ROOM = 6; // pieces of a ribbon beside which their margins fit; all have them in their title
const FIRM = 0.7; // the margin at which a piece has 63% of its colour

/** @typedef {import("./types.js").Band} Band */
/** @typedef {import("./types.js").StabilityCell} StabilityCell */

/**
 * @typedef {object} Actions
 * @property {(item: {side: string, index: number}) => void} choose
 * @property {(layer: number) => void} [setLayer]
 * @property {(band: Band, cell: StabilityCell, layer: number) => void} go to a piece; `layer` is the student's
 */

/**
 * @param {{layers: number, objects: {index: number, name: string, change: string}[]}} view
 * @param {Band[]} bands by layer, or by epoch
 * @param {Actions} actions
 */
export function ribbons({ layers, objects }, bands, actions) {
  const recorded = bands.filter(({ epochs }) => epochs);
  const head = recorded.length ? epochScales(recorded) : layerScale(layers, actions.setLayer);
  const rows = objects.map((object) => objectRow(object, bands, actions));
  return make("div", { class: "dd-rows" }, head, rows);
}

function layerScale(layers, setLayer) {
  const number = (_, k) =>
    make("button", { type: "button", "data-layer": k, onclick: () => setLayer(k) }, String(k + 1));
  return scale("layer", Array.from({ length: layers }, number));
}

/** One scale for bands of the same epochs, else one for each. */
function epochScales(bands) {
  const distinct = [...new Map(bands.map((band) => [band.epochs.join(), band])).values()];
  return distinct.map(({ epochs, title }) => {
    const numbers = epochs.map((epoch) => make("span", { class: "dd-faint" }, String(epoch)));
    return scale(distinct.length > 1 ? `epoch, ${title}` : "epoch", numbers);
  });
}

function scale(name, numbers) {
  const title = make("span", { class: "name dd-faint" }, name);
  return make("div", { class: "dd-row" }, title, make("div", { class: "dd-layers" }, numbers));
}

function objectRow({ index, name, change }, bands, actions) {
  const onclick = () => actions.choose({ side: "truth", index });
  const link = make("button", { type: "button", class: "dd-link truth", onclick }, `${index} ${name}`);
  const all = bands.map((band) => ribbon(band, band.cells[index], actions.go));
  const title = make("span", { class: "name" }, link, changeMark(change));
  return make(
    "div",
    { class: "dd-row", "data-object": index, "data-item": itemName({ side: "truth", index }) },
    title,
    make("div", { class: "dd-bands" }, all),
  );
}

function ribbon(band, cells, go) {
  const pieces = cells.map((cell, k) => {
    const flipped = k > 0 && cells[k - 1].query !== cell.query ? cells[k - 1] : null;
    const says = describe(band, cell, k, flipped);
    const attributes = {
      type: "button",
      class: `piece${flipped ? " flip" : ""}${k > 0 && !flipped ? " goes-on" : ""}`,
      title: says,
      "aria-label": says,
      "data-query": cell.query,
      "data-item": cell.query >= 0 && itemName({ side: band.side, index: cell.query }),
      "data-margin": cell.margin,
      style: `--firm:${firmness(cell).toFixed(2)}`,
      onclick: () => go(band, cell, studentLayer(band, k)),
    };
    const margin = cell.margin !== null && cells.length <= ROOM && make("small", null, short(cell.margin));
    return make("button", attributes, make("b", null, cell.query < 0 ? "–" : String(cell.query)), margin);
  });
  const style = `--n:${cells.length}`;
  return make("div", { class: `dd-ribbon ${band.role}`, "data-side": band.side, style }, pieces);
}

/** From 0 for a match that nearly flipped to 1. */
const firmness = ({ margin }) => (margin === null ? 1 : 1 - Math.exp(-margin / FIRM));

/** The first layer of the student beside which a layer of the band is shown. */
const studentLayer = (band, k) =>
  band.at
    ? Math.max(
        0,
        band.at.findIndex((at) => at >= k),
      )
    : 0;

/** "Student, layer 2: query 5, cost 0.120, margin 1.034, runner-up query 7. A flip: ..." */
function describe(band, { query, cost, margin, runner_up: runnerUp }, k, flipped) {
  const parts = [
    query < 0 ? "no query" : `query ${query}`,
    cost !== null && `cost ${fixed(cost)}`,
    margin !== null && `margin ${fixed(margin)}`,
    runnerUp >= 0 && `runner-up query ${runnerUp}`,
  ];
  const where = band.epochs ? `epoch ${band.epochs[k]}` : `layer ${k + 1}`;
  return `${band.title}, ${where}: ${parts.filter(Boolean).join(", ")}${flipped ? before(flipped) : ""}`;
}

function before({ query, margin }) {
  const name = query < 0 ? "no query" : `query ${query}`;
  return `. A flip: before, it was ${name}${margin === null ? "" : ` with margin ${fixed(margin)}`}`;
}

/**
 * Marks the pieces of the current layer, and those of the chosen query.
 * @param {HTMLElement} root
 * @param {Band[]} bands
 * @param {number} layer the student's
 * @param {{side: string, index: number}} chosen
 */
export function markPieces(root, bands, layer, chosen) {
  for (const node of root.querySelectorAll(".dd-layers button"))
    node.setAttribute("aria-current", String(Number(node.getAttribute("data-layer")) === layer));
  for (const band of bands)
    for (const ribbon of root.querySelectorAll(`.dd-ribbon[data-side=${band.side}]`))
      [...ribbon.children].forEach((node, k) => {
        const query = Number(node.getAttribute("data-query"));
        node.classList.toggle("here", !band.epochs && band.at[layer] === k);
        node.classList.toggle("chosen", chosen.side === band.side && query === chosen.index);
      });
}
