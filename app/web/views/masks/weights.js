// The weight of each place in the feature loss, combined in three ways, and the loss itself.
import { fixed, heading, make } from "../../dom.js";
import { colourBar } from "../../drawing/colour_bar.js";
import { emptyTile, tile } from "../../drawing/tile.js";
import { card } from "../blocks.js";

const SAYS =
  "The weight of each place in the feature loss: three ways to combine the masks, and the loss itself on this image.";
const LOSS =
  "The feature loss of this run on this level, place by place: the weight times the squared difference of student " +
  "and teacher.";

/** @param {import("./types.js").Masks} masks */
export function weightsCard({ app, view }) {
  const tiles = make("div", { class: "dd-tiles four" });
  const node = card("weights", heading("Where the feature loss compares student and teacher", SAYS), tiles);

  function show() {
    const { weights, loss } = view();
    tiles.replaceChildren(...weights.map(wayTile), lossTile(app.stage.picture(), loss));
  }

  function wayTile({ id, title, says, equation, own, heat }) {
    const name = title + (own ? " · used by this run" : "");
    return tile(app.stage.picture(), heat, { id, title: name, says, equation, bar: colourBar(heat.most) });
  }

  /** Another gamma changes the weight by quality alone. */
  function follow() {
    const at = view().weights.findIndex(({ id }) => id === "each");
    tiles.children[at].replaceWith(wayTile(view().weights[at]));
  }

  return { node, show, follow };
}

function lossTile(picture, loss) {
  if (!loss) return emptyTile("The loss", "This run has no feature loss on this level and layer.");
  const bar = colourBar(loss.most);
  return tile(picture, loss, { id: "loss", title: "The loss", says: LOSS, note: `sum ${fixed(loss.sum, 4)}`, bar });
}
