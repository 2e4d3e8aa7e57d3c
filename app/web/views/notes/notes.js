// The view of notes: one on the open image or the selected object, and all of the run.
import { make } from "../../dom.js";
import { download } from "../../download.js";
import { ask, latest } from "../../server.js";
import { noteForm } from "./form.js";
import { noteList } from "./list.js";

/**
 * @param {import("../../types.js").App} app
 * @returns {import("../../types.js").View}
 */
export function notesView(app) {
  const question = latest("notes");
  const form = noteForm(save);
  const list = noteList(app, { change: form.change, remove, store });
  const side = make("div", { class: "dd-masks" }, form.node, list.node);

  const asked = () => {
    const { run, noted, tag } = app.state.get();
    return { run, text: noted, tag };
  };

  /** The place of the annotated object that is selected, -1 for none: pseudo truth is another with each score. */
  function object() {
    const { side: of, index } = app.state.get();
    return of === "truth" && app.stage.scene()?.truth !== "pseudo" ? index : -1;
  }

  async function load() {
    const { image } = app.state.get();
    const name = image.startsWith("image/")
      ? `Image ${image.split("/")[1]}`
      : "Notes are kept on the images of the run.";
    form.on(object() < 0 ? name : `${name}, object ${object()}`);
    try {
      const answer = await question(asked());
      if (answer) list.show(answer);
    } catch (error) {
      app.notify(error.message);
    }
  }

  /** @param {import("./form.js").Draft} draft */
  async function save({ text, tags, id, object: of, key }) {
    const { run, image } = app.state.get();
    const place = id ? { key, object: of ?? -1 } : { key: image, object: object() };
    await ask("note", { run, text, tags, id, ...place });
    await load();
  }

  async function remove({ id }) {
    try {
      await ask("unnote", { run: app.state.get().run, id });
      await load();
    } catch (error) {
      app.notify(error.message);
    }
  }

  async function store(format) {
    try {
      download(await ask("exported", { form: format, ...asked() }));
    } catch (error) {
      app.notify(error.message);
    }
  }

  return { id: "notes", title: "Notes", side, needs: ["noted", "tag", "side", "index", "image"], load };
}
