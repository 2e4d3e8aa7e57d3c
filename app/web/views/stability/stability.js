// View 3: which query is matched with each object, layer by layer, by what margin, and where it flips.
import { heading, make, segments } from "../../dom.js";
import { curves } from "../../drawing/curves.js";
import { latest } from "../../server.js";
import { card, faint } from "../blocks.js";
import { otherImages } from "./recorded.js";
import { markPieces, ribbons } from "./ribbons.js";

const AGAIN = 5000; // milliseconds until it is asked for again while images are analysed
const WAYS = [
  { id: "layers", title: "Decoder layers", says: "From the first layer to the last, with the weights of the run" },
  { id: "epochs", title: "Epochs", says: "In the last layer at the end of each epoch, where the run recorded it" },
];
const BANDS =
  "One band for each detector shows the query that is matched with the object. A cut is a flip: from there on it is " +
  "another query. A pale piece has a small margin: the match nearly flipped.";
const MARGIN = "margin = min{Σ cost : without the pair} − min{Σ cost}";
const CHANGES =
  "The number of queries whose object differs from the layer before; an object that moves from one query to another " +
  "counts twice. Solid: this image. Dashed: the mean over the analysed images.";
const INSTABILITY = "IS_k = Σₙ 1[ Vₙ(k) ≠ Vₙ(k−1) ]";

/** @typedef {import("./types.js").Band} Band */
/** @typedef {import("./types.js").StabilityView} StabilityView */

/**
 * @param {import("../../types.js").App} app
 * @returns {import("../../types.js").View}
 */
export function stabilityView(app) {
  const side = make("div", { class: "dd-stability" });
  const question = latest("stability");
  const history = latest("epochs");
  /** @type {StabilityView | null} */
  let view = null;
  /** @type {import("./types.js").Past | null} by epoch */
  let past = null;
  const over = () => app.state.get().ribbons;
  let shown = ""; // what the view is of
  let again = 0;

  async function load(changed) {
    const scene = app.stage.scene();
    clearTimeout(again);
    if (!scene || scene.partial) return;
    const { run, compare } = app.state.get();
    const asked = { key: scene.key, run, compare };
    const name = Object.values(asked).join();
    if (view && shown === name && changed && !changed.has("ribbons")) return mark();
    try {
      const answer = await question(asked);
      if (!answer || app.stage.scene() !== scene) return;
      const epochs = over() === "epochs" ? await history(asked) : null;
      if (app.stage.scene() !== scene) return;
      [view, shown, past] = [answer, name, epochs];
      build();
      if (view.known < view.total) again = setTimeout(() => app.current() === "stability" && load(), AGAIN);
    } catch (error) {
      app.notify(error.message);
    }
  }

  function build() {
    side.replaceChildren(ribbonCard(), instabilityCard(view));
    mark();
  }

  function ribbonCard() {
    const ways = segments("Over", WAYS, over(), (ribbons) => app.state.set({ ribbons }));
    const header = make("header", null, heading("The query of each object", BANDS, MARGIN), make("span", null, ways));
    const flips = over() === "layers" ? make("div", { class: "dd-few" }, view.bands.map(flipCount)) : "";
    return card("ribbons", header, view.says && faint(view.says), flips, body());
  }

  function body() {
    if (!view.objects.length) return make("p", null, "This image has no object.");
    const { choose, setLayer } = app.stage;
    if (over() === "layers") return ribbons(view, view.bands, { choose, setLayer, go });
    if (!past?.bands.length) return past ? otherImages(app, past) : "";
    return ribbons(view, past.bands, { choose, go });
  }

  /** Goes to the layer of a piece, and chooses its query. */
  function go(band, cell, layer) {
    const chosen = cell.query >= 0 ? { side: band.side, index: cell.query } : {};
    app.state.set({ layer: band.epochs ? past.layer : layer, ...chosen });
  }

  function mark() {
    if (!view) return;
    const { side: name, index } = app.state.get();
    const bands = over() === "layers" ? view.bands : past?.bands || [];
    markPieces(side, bands, app.stage.layer(), { side: name, index });
  }

  return { id: "stability", title: "Stability", side, needs: ["layer", "side", "index", "ribbons"], load };
}

/** @param {Band} band */
function flipCount({ role, title, flips }) {
  const text = `${title}: ${flips} ${flips === 1 ? "flip" : "flips"}`;
  return make("span", { class: role }, make("i", { class: "swatch" }), text);
}

function instabilityCard({ bands, known, total }) {
  const title = heading("How often matches change", CHANGES, INSTABILITY);
  const options = { zero: true, whole: true };
  const chart = curves("Instability", bands.flatMap(seriesOf), ["to layer", "IS"], options);
  return card("instability", title, chart, faint(`${known} of ${total} images analysed`, { "data-known": known }));
}

/** Of one detector: this image, and the mean over the analysed images. */
function seriesOf({ title, role, instability, set }) {
  const points = (values) => values.map((value, k) => [k + 2, value]);
  const image = { title, role, points: points(instability) };
  const mean = { title: `${title}, mean`, role, dashed: true, points: points(set) };
  return [...(instability.length ? [image] : []), ...(instability.length && set.length ? [mean] : [])];
}
