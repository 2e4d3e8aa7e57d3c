// Six panels as in the paper's Figure 4, of the queries that its rules choose or of those that are pinned.
import { button, heading, make } from "../../dom.js";
import { download } from "../../download.js";
import { colourBar } from "../../drawing/colour_bar.js";
import { tile } from "../../drawing/tile.js";
import { ask } from "../../server.js";
import { card, faint } from "../blocks.js";

const SAYS =
  "The image, the best query of each of two objects, a query that looks at both, and two of low quality. " +
  "All masks of the image have one scale of colours. Pin the selected query to choose your own.";
const LAST_LAYER = "Figure 4 is of the teacher’s last decoder layer; choose that layer above.";
const LETTERS = "bcdef"; // (a) is the image
const FORMS = ["pdf", "svg", "png", "csv"];

/** @param {import("./types.js").Masks} masks */
export function panelsCard({ app, look, view, chosen, choose, where, masksOf }) {
  const tiles = make("div", { class: "dd-tiles six" });
  const buttons = [button("Pin the selected query", pin), button("Unpin all", unpin)];
  const downloads = FORMS.map((form) => button(form.toUpperCase(), () => save(form), { "data-form": form }));
  const label = make("span", { class: "dd-faint" }, "Download as a figure");
  const space = make("span", { class: "grow" });
  const actions = make("div", { class: "dd-few dd-actions" }, buttons, space, label, downloads);
  const scale = make("div", { class: "dd-few" });
  const node = card("six", heading("Six panels, as in Figure 4", SAYS), scale, tiles, actions);

  /** The pinned queries that this teacher has. */
  const pinned = () => look().pinned.filter((query) => query < view().queries.length);

  function pin() {
    const query = chosen();
    if (query === null) return app.notify("Select a teacher query first: click one in the list.");
    const pinned = [...look().pinned.filter((other) => other !== query), query];
    app.state.set({ pins: pinned.slice(-LETTERS.length).join() });
  }

  function unpin() {
    app.state.set({ pins: "" });
  }

  async function save(form) {
    const { key, run, level } = where();
    try {
      download(await ask("figure4", { key, run, level, form, queries: pinned() }));
    } catch (error) {
      app.notify(error.message);
    }
  }

  async function show() {
    if (view().stage !== app.about().teacher.layers - 1) return tiles.replaceChildren(faint(LAST_LAYER));
    const panels = withPinned(view().panels, pinned());
    const picture = app.stage.picture();
    const now = view();
    try {
      const heats = await masksOf(panels.map(({ query }) => query));
      if (view() !== now) return;
      scale.replaceChildren(colourBar(now.most, "Mask of a query"));
      const image = tile(picture, null, { id: "image", title: "(a) the image" });
      tiles.replaceChildren(image, ...panels.map((panel, k) => panelTile(picture, heats[k], panel)));
    } catch (error) {
      app.notify(error.message);
    }
  }

  function panelTile(picture, heat, { letter, query, why }) {
    const { most, queries } = view();
    const { class: name, quality } = queries[query];
    return tile(picture, heat, {
      id: nameOf(query),
      title: `(${letter}) query ${query}`,
      note: `${why}: ${name}${quality === null ? "" : `, q ${quality.toFixed(2)}`}`,
      top: most,
      chosen: query === chosen(),
      onclick: () => choose(query),
    });
  }

  function mark() {
    for (const tile of tiles.children)
      tile.classList.toggle("chosen", tile.getAttribute("data-tile") === nameOf(chosen()));
  }

  return { node, show, mark };
}

const nameOf = (query) => `panel-${query}`;

/** Pinned queries take the places of those that the rules chose, from the first. */
function withPinned(panels, pinned) {
  const byLetter = Object.fromEntries(panels.map((panel) => [panel.letter, panel]));
  pinned.forEach((query, k) => {
    byLetter[LETTERS[k]] = { letter: LETTERS[k], query, why: "pinned" };
  });
  return Object.values(byLetter).sort((a, b) => (a.letter < b.letter ? -1 : 1));
}
