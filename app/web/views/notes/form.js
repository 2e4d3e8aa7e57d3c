// The form that writes a note on the open image, or on the selected object.
import { button, heading, make } from "../../dom.js";
import { faint } from "../blocks.js";

const SAYS = "A text, tags, or both. With an object selected on the image, the note is on that object.";

/** @typedef {{text: string, tags: string[], id: string, object?: number | null, key?: string}} Draft */

/** @param {(draft: Draft) => Promise<void>} save rejects with what is wrong */
export function noteForm(save) {
  const about = faint("");
  const text = make("textarea", { rows: 3, maxlength: 2000, "aria-label": "Note", placeholder: "What is seen here" });
  const tags = make("input", { "aria-label": "Tags", placeholder: "tags, with commas between them" });
  const wrong = make("p", { class: "dd-says", role: "alert" });
  const keep = make("button", { type: "submit", class: "dd-button" }, "Keep the note");
  const cancel = button("Cancel", clear, { hidden: true });
  const onsubmit = (event) => {
    event.preventDefault();
    submit();
  };
  const form = make("form", { onsubmit }, about, text, tags, make("div", { class: "dd-few" }, keep, cancel), wrong);
  const node = make("section", { class: "dd-card dd-note-form" }, heading("A note", SAYS), form);
  let old = null; // the note that is changed

  async function submit() {
    const draft = {
      text: text.value,
      tags: tags.value.split(","),
      id: old?.id || "",
      object: old?.object,
      key: old?.key,
    };
    try {
      await save(draft);
      clear();
    } catch (error) {
      wrong.textContent = error.message;
    }
  }

  function clear() {
    old = null;
    text.value = tags.value = wrong.textContent = "";
    cancel.hidden = true;
    keep.textContent = "Keep the note";
  }

  /** @param {import("./types.js").Note} note that is to be changed */
  function change(note) {
    old = note;
    text.value = note.text;
    tags.value = note.tags.join(", ");
    cancel.hidden = false;
    keep.textContent = "Keep the change";
    text.focus();
  }

  /** Says what a new note would be on. */
  function on(name) {
    about.textContent = name;
  }

  return { node, change, on };
}
