// What the strip shows: the order of the images, and the class that they have.
import { choice, make } from "../dom.js";

/** @param {import("../types.js").App} app */
export function tools(app) {
  const node = make("div", { class: "tools" });
  let built = ""; // what the choices are of

  /**
   * Offers the choices; they stay while they are the same, so that an open list is not closed.
   * @param {import("./gallery.js").GalleryPage} page
   */
  function offer({ sorts }) {
    const { sort, having } = app.state.get();
    const now = JSON.stringify([sorts, app.about()?.classes, sort, having]);
    if (now !== built) node.replaceChildren(...nodes(sorts));
    built = now;
  }

  function nodes(sorts) {
    const classes = [
      { id: "", title: "any object" },
      ...(app.about()?.classes || []).map((c) => ({ id: c, title: c })),
    ];
    const { sort, having } = app.state.get();
    const { says } = sorts.find(({ id }) => id === sort) || {};
    const set = (change) => app.state.set({ ...change, page: 0 });
    return [
      choice("Sort by", sorts, sort, (sort) => set({ sort }), { says }),
      choice("Images with", classes, having, (having) => set({ having }), {
        says: "Only images with an object of this class",
      }),
    ];
  }

  return { node, offer };
}
