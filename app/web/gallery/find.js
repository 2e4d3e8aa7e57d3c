// The field that opens an image by its id or file name.
import { make } from "../dom.js";
import { ask } from "../server.js";

/** @param {import("../types.js").App} app */
export function finder(app) {
  const onchange = async () => {
    if (!field.value.trim()) return;
    try {
      app.state.set({ image: await ask("find", { text: field.value, run: app.state.get().run }) });
      field.value = "";
    } catch (error) {
      app.notify(error.message);
    }
  };
  const attributes = { type: "search", placeholder: "id or file name", "aria-label": "Open an image" };
  const field = make("input", { ...attributes, class: "dd-find", onchange });
  return field;
}
