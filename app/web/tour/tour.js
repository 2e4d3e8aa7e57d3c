// A tour in the page: five steps on an image that is worth it, which can be left at any time.
import { button, make } from "../dom.js";
import { ask } from "../server.js";
import { STEPS } from "./steps.js";

/** @param {import("../types.js").App} app */
export function tour(app) {
  const title = make("b", { tabindex: -1 });
  const says = make("p");
  const back = button("Back", () => go(at - 1));
  const next = button("Next", () => (at + 1 < STEPS.length ? go(at + 1) : end()));
  const actions = make("div", { class: "dd-few" }, back, next, button("Skip the tour", end));
  const node = make("section", { class: "dd-tour", "aria-label": "Tour", hidden: true }, title, says, actions);
  const opener = button("Tour", begin, { title: "Five steps through the page" });
  let at = 0;
  let image = "";
  let object = 0;

  async function begin() {
    try {
      await choose();
    } catch (error) {
      return app.notify(error.message);
    }
    node.hidden = false;
    go(0);
  }

  /** Takes the analysed image with most objects that the student gained, or misses where it is compared with none. */
  async function choose() {
    const { run, compare } = app.state.get();
    const { items } = await ask("gallery", { run, compare, sort: compare ? "gained" : "missed" });
    image = items[0]?.key || app.state.get().image;
    const { rows } = await ask("matches", { key: image, layer: 0, run, compare });
    object = Math.max(
      0,
      rows.findIndex(({ change }) => change === "gained"),
    );
  }

  function go(step) {
    at = step;
    title.textContent = `${at + 1} of ${STEPS.length} · ${STEPS[at].title}`;
    says.textContent = STEPS[at].says;
    back.disabled = at === 0;
    next.textContent = at + 1 < STEPS.length ? "Next" : "Done";
    node.dataset.step = String(at + 1);
    app.state.set(STEPS[at].shows(image, object));
    title.focus({ preventScroll: true });
  }

  function end() {
    node.hidden = true;
    opener.focus({ preventScroll: true });
  }

  return { node, opener };
}
