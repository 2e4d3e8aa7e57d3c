// A figure of one image of one run: of which run it is, and what of the view it does not show.
const ONE = "image"; // the name of the figure

/** @typedef {import("../../types.js").App} App */

/** @param {import("./figures.js").Page | undefined} page */
export const ofOneRun = (page) => page?.name === ONE;

/** The open image is an upload, of which no figure is made. */
export const uploaded = (app) => !app.state.get().image.startsWith("image/");

/**
 * The run of the figure: the one that is wanted, if it is still open, else the selected one.
 * @param {App} app
 */
export function oneRun(app) {
  const { run, compare, of } = app.state.get();
  return of === compare && compare ? compare : run;
}

/**
 * What the figure is of, and what it leaves out of the view.
 * @param {App} app
 */
export function about(app) {
  const { run, compare, side, index } = app.state.get();
  const shown = oneRun(app);
  const left = [
    compare && `the student of ${shown === run ? compare : run}`,
    side && side !== "truth" && `the selection of ${side} query ${index}`,
    "sampling locations",
  ].filter(Boolean);
  const image = uploaded(app)
    ? "The open image was uploaded, and figures are of the run’s own images: this is one that the figure chooses. "
    : "";
  return `${image}It shows ${shown} and its teacher. It leaves out: ${left.join(", ")}.`;
}
