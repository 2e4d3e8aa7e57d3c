// The notes of a run: those with a text and a tag; a click opens the image.
import { button, choice, heading, make } from "../../dom.js";
import { faint } from "../blocks.js";

const LABEL = "The images of the listed notes, without annotations, for the program in which you label";

/** @typedef {import("./types.js").Note} Note */
/** @typedef {import("./types.js").Notes} Notes */

/**
 * @param {import("../../types.js").App} app
 * @param {{change: (note: Note) => void, remove: (note: Note) => void, store: (form: string) => void}} actions
 */
export function noteList(app, { change, remove, store }) {
  const { state } = app;
  const find = make("input", { type: "search", "aria-label": "Notes with the text", placeholder: "find in the notes" });
  find.addEventListener("input", () => state.set({ noted: find.value }, { quietly: true }));
  const tags = make("span");
  const body = make("ol", { class: "dd-note-list" });
  const none = faint("");
  const files = ["csv", "json"].map((form) => button(form.toUpperCase(), () => store(form)));
  files.push(button("COCO file to label", () => store("coco"), { title: LABEL }));
  const tools = make("div", { class: "dd-few" }, find, tags, make("span", { class: "grow" }), files);
  const node = make("section", { class: "dd-card dd-kept" }, heading("Notes of this run"), tools, body, none);

  /** @param {Notes} answer */
  function show({ notes, tags: counts, total, file }) {
    const { noted, tag } = state.get();
    if (document.activeElement !== find) find.value = noted;
    const options = Object.entries(counts).map(([id, count]) => ({ id, title: `${id} (${count})` }));
    const all = [{ id: "", title: "any" }, ...options];
    if (tag && !(tag in counts)) all.push({ id: tag, title: `${tag} (0)` });
    const now = JSON.stringify([all, tag]);
    if (tags.dataset.of !== now) tags.replaceChildren(choice("Tag", all, tag, (id) => state.set({ tag: id })));
    tags.dataset.of = now;
    node.dataset.count = String(notes.length);
    body.replaceChildren(...notes.map(item));
    if (!total) none.textContent = `There is no note yet. Those that you write are kept in ${file}.`;
    else none.textContent = `${notes.length} of ${total} notes, kept in ${file}`;
  }

  /** @param {Note} note */
  function item(note) {
    const place = `Image ${note.image}${note.object === null ? "" : `, object ${note.object} ${note.class}`}`;
    const open = () => {
      const object = note.object === null ? { side: "", index: 0 } : { side: "truth", index: note.object };
      state.set({ image: note.key, ...object });
    };
    const name = note.key
      ? make("button", { type: "button", class: "dd-link", title: note.file, onclick: open }, place)
      : make("span", { title: `${note.file} is not among the images that are shown` }, place);
    const marks = note.tags.map((tag) => button(tag, () => state.set({ tag }), { class: "dd-tag" }));
    const tasks = [
      note.key && button("Change", () => change(note), { "aria-label": `Change the note on ${place}` }),
      button("Remove", () => remove(note), { "aria-label": `Remove the note on ${place}` }),
    ];
    return make(
      "li",
      { "data-note": note.id },
      make("div", { class: "dd-few" }, name, marks, make("span", { class: "grow" }), tasks),
      note.text && make("p", null, note.text),
    );
  }

  return { node, show };
}
