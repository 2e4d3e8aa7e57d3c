// View 2: what the teacher's queries attend to, the best first, and how quality weighs their masks.
import { make } from "../../dom.js";
import { paintHeat } from "../../drawing/heat.js";
import { ask, latest } from "../../server.js";
import { card } from "../blocks.js";
import { lookCard, lookOf } from "./look.js";
import { panelsCard } from "./panels.js";
import { qualityCard, ranked } from "./quality.js";
import { scatterCard } from "./quality_scatter.js";
import { weightsCard } from "./weights.js";

const NEEDS = ["side", "index", "gamma", "level", "stage", "over", "opacity", "pins"];
const NO_TEACHER = "This run has no teacher, so there are no teacher queries and no masks.";

/** @typedef {import("./types.js").MasksView} MasksView */
/** @typedef {import("./types.js").Masks} Masks */

/**
 * @param {import("../../types.js").App} app
 * @returns {import("../../types.js").View}
 */
export function masksView(app) {
  const side = make("div", { class: "dd-masks" });
  const wide = make("div", { class: "dd-masks-wide" });
  const overview = latest("masks");
  const weighed = latest("weighed");
  const cached = new Map(); // masks by level, decoder layer and query
  /** @type {MasksView | null} */
  let view = null;
  let shown = ""; // what the view is of

  const look = () => lookOf(app);
  /** @type {Masks} */
  const masks = { app, look, view: () => view, gamma, chosen, choose, where, masksOf };
  const controls = lookCard(masks);
  const quality = qualityCard(masks);
  const scatter = scatterCard(masks);
  const weights = weightsCard(masks);
  const panels = panelsCard(masks);

  function gamma() {
    return app.state.get().gamma ?? app.about()?.gamma ?? 0.5;
  }

  function chosen() {
    const { side, index } = app.state.get();
    return side === "teacher" && view && index < view.queries.length ? index : null;
  }

  function choose(query) {
    app.stage.choose({ side: "teacher", index: query });
  }

  function where() {
    return { key: app.stage.scene().key, run: app.state.get().run, level: look().level, stage: look().stage };
  }

  async function load(changed) {
    const scene = app.stage.scene();
    const about = app.about();
    if (!scene || scene.partial || !about) return;
    if (!about.teacher) return showNothing(NO_TEACHER);
    try {
      const name = JSON.stringify(where());
      if (view && shown === name) return await follow(changed, name);
      const answer = await overview({ ...where(), gamma: gamma() });
      if (!answer || name !== JSON.stringify(where())) return;
      [view, shown] = [answer, name];
      cached.clear();
      build();
    } catch (error) {
      showNothing(error.message);
    }
  }

  /** Only gamma or the selection is another; the view is still that of `name`. */
  async function follow(changed, name) {
    if (!changed || changed.has("gamma")) {
      const answer = await weighed({ ...where(), gamma: gamma() });
      if (!answer || !view || shown !== name || JSON.stringify(where()) !== name) return;
      answer.quality.forEach((quality, k) => {
        Object.assign(view.queries[k], { quality, counts: answer.counts[k] });
      });
      Object.assign(view, { gamma: answer.gamma, correlation: answer.correlation });
      view.weights.find(({ id }) => id === "each").heat = answer.heat;
      rank();
      weights.follow();
    }
    if (changed?.has("pins")) await panels.show();
    controls.sync();
    mark();
  }

  function showNothing(why) {
    view = null;
    side.replaceChildren(card("none", make("p", null, why)));
    wide.replaceChildren();
    app.stage.setHeat(null);
  }

  function build() {
    controls.build();
    side.replaceChildren(controls.node, quality.node, scatter.node);
    wide.replaceChildren(weights.node, panels.node);
    quality.build();
    rank();
    weights.show();
    panels.show();
    const best = { side: "teacher", index: ranked(view.queries)[0].index };
    if (chosen() === null)
      app.state.set(best, { quietly: true }); // which marks it
    else mark();
  }

  function rank() {
    quality.rank();
    side.dataset.gamma = String(view.gamma);
  }

  /** The masks of some queries; those that are not known yet are asked for. */
  async function masksOf(queries) {
    const place = JSON.stringify(where());
    const missing = [...new Set(queries)].filter((query) => !cached.has(place + query));
    const heats = missing.length ? await ask("mask", { ...where(), queries: missing }) : [];
    missing.forEach((query, k) => {
      cached.set(place + query, heats[k]);
    });
    return queries.map((query) => cached.get(place + query));
  }

  /** Shows the chosen query in all cards, and its mask over the image. */
  async function mark() {
    quality.mark();
    scatter.show();
    panels.mark();
    const query = chosen();
    const { over } = look();
    if (over === "none" || (over === "query" && query === null)) return app.stage.setHeat(null);
    const now = view;
    try {
      const heat = over === "each" ? view.weights.find(({ id }) => id === "each").heat : (await masksOf([query]))[0];
      if (view === now && chosen() === query && app.current() === "masks") cover(heat);
    } catch (error) {
      app.notify(error.message);
    }
  }

  /** A mask has the scale of all masks, the combined weight its own. */
  function cover(heat) {
    const { over, opacity } = look();
    const top = over === "query" ? view.most : heat.most;
    app.stage.setHeat((canvas) => {
      paintHeat(heat, canvas, top);
      canvas.style.opacity = String(opacity);
    }, "teacher");
  }

  return { id: "masks", title: "Query masks", side, wide, needs: NEEDS, load };
}
