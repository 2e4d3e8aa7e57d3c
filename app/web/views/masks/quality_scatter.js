// The quality of each teacher query against the part of its mask that is inside objects' boxes.
import { fixed, heading, make, share } from "../../dom.js";
import { scatter } from "../../drawing/scatter.js";
import { itemName } from "../../link/hover.js";
import { card, faint } from "../blocks.js";

const SAYS =
  "The claim of the paper’s Figure 4: the higher a query’s quality, the more of its mask is inside objects’ boxes. " +
  "Dashed: the share of a mask that is the same everywhere.";

/** @param {import("./types.js").Masks} masks */
export function scatterCard({ view, chosen, choose }) {
  const figure = make("div", { class: "dd-scatter" });
  const node = card("scatter", heading("Do good queries look at objects?", SAYS), figure);

  function show() {
    const { queries, correlation, area } = view();
    node.hidden = queries.every(({ quality }) => quality === null);
    const points = queries.filter(({ inside, quality }) => inside !== null && quality !== null).map(pointOf);
    const options = { chosen: chosen(), pick: choose, level: area };
    const chart = scatter("Quality against mass inside boxes", points, ["quality q", "mask inside boxes"], options);
    const rank = correlation === null ? "" : `Spearman’s rank correlation ${fixed(correlation, 2)}`;
    figure.replaceChildren(chart, faint(rank));
  }

  return { node, show };
}

/** @param {import("./types.js").MaskQuery} query */
function pointOf({ index, class: name, quality, counts, inside }) {
  const title = `query ${index} (${name}): quality ${quality.toFixed(2)}, ${share(inside)} inside`;
  return {
    id: index,
    x: quality,
    y: inside,
    class: counts > 0 ? "counts" : "",
    title,
    item: itemName({ side: "teacher", index }),
  };
}
