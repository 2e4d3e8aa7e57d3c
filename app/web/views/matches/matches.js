// View 1: which query is matched with which object, and at what cost.
import { make } from "../../dom.js";
import { latest } from "../../server.js";
import { keepFocus } from "../focus.js";
import { showOverview } from "./overview.js";
import { showQuery } from "./query.js";

/**
 * @param {import("../../types.js").App} app
 * @returns {import("../../types.js").View}
 */
export function matchesView(app) {
  const panel = make("section", { class: "dd-card dd-query" });
  const ofOne = latest("query");
  const ofAll = latest("matches");

  async function load() {
    const scene = app.stage.scene();
    if (!scene || scene.partial) return;
    const { run, compare } = app.state.get();
    const asked = { key: scene.key, layer: app.stage.layer(), run, compare };
    const item = app.stage.chosen();
    try {
      const view = await (item ? ofOne({ ...asked, side: item.side, index: item.index }) : ofAll(asked));
      const current = app.stage.scene() === scene && Boolean(item) === Boolean(app.stage.chosen());
      if (view && current) show(view, asked, item);
    } catch (error) {
      app.notify(error.message);
    }
  }

  function show(view, { key, layer }, item) {
    keepFocus(panel, () => (view.rows ? showOverview(panel, app, view) : showQuery(panel, app, view)));
    panel.dataset.shown = `${key} ${layer} ${item ? `${item.side}.${item.index}` : ""}`;
  }

  return { id: "matches", title: "Matches", side: panel, needs: ["layer", "side", "index"], load };
}
