// An image that no run recorded over the epochs: the way to those that were.
import { make } from "../../dom.js";

/**
 * @param {import("../../types.js").App} app
 * @param {import("./types.js").Past} past
 */
export function otherImages(app, { says, recorded }) {
  const link = (image) => {
    const [, id] = image.split("/");
    const onclick = () => app.state.set({ image });
    return make("button", { type: "button", class: "dd-link", "data-recorded": image, onclick }, id);
  };
  const links = recorded.length > 0 && make("p", { class: "dd-few" }, "Recorded images:", recorded.map(link));
  return make("div", { class: "dd-recorded" }, make("p", null, says), links);
}
