// Loads a run and an image: the picture first, then boxes as soon as a detector is done, then the rest.
import { START } from "./gradio.js";
import { ask, latest, Refused, WHO } from "./server.js";

/**
 * An answer while an image is computed: steps that are done, which runs are done, boxes so far, the scene in the end.
 * @typedef {object} Progress
 * @property {number} stage
 * @property {boolean[]} done
 * @property {number} seconds
 * @property {import("./stage/scene/types.js").Group[]} [boxes]
 * @property {import("./stage/scene/types.js").Scene} [scene]
 */

/**
 * @typedef {object} Listeners
 * @property {(about: import("./types.js").About) => void} onAbout
 * @property {(picture: import("./stage/scene/types.js").Picture) => void} onPicture
 * @property {() => void} onScene
 */

/**
 * @param {import("./types.js").App} app
 * @param {Listeners} listeners
 */
export function loader(app, { onAbout, onPicture, onScene }) {
  const { state } = app;
  const question = latest("look");
  let about = null;
  let introduced = Promise.resolve(false); // whether the run could be opened
  let loads = 0; // a newer one ends those before
  let ticking = 0;
  let shown = ""; // run, compared run and image of the scene that is shown

  /** Loads what is selected; `newRun` if it is an image of another run than before. */
  async function load(newRun) {
    const number = ++loads;
    const { run, compare, image } = state.get();
    if (newRun) introduced = introduce(run);
    try {
      if (image) await open(number, image, run, compare);
      else if ((await introduced) && number === loads) state.set({ image: about.first }, { quietly: true });
    } catch (error) {
      if ((!newRun || (await introduced)) && number === loads) fail(error);
    }
  }

  /** Asks what a run is; false if it cannot be opened, or another one was selected meanwhile. */
  async function introduce(run) {
    about = null;
    try {
      const answer = await ask("about", { run });
      if (run !== state.get().run) return false;
      about = answer;
      onAbout(about);
      return true;
    } catch (error) {
      if (run === state.get().run) giveUp(run, error);
      return false;
    }
  }

  /** A run that cannot be opened gives way to the one that the app was started with. */
  function giveUp(run, error) {
    if (!(error instanceof Refused) || run === START.run) return app.notify(error.message);
    app.missing(`${error.message}. ${START.run} is shown instead.`);
    const { run: first, compare, image } = START;
    state.set({ run: first, compare, image, side: "", index: 0, layer: null }, { quietly: true });
  }

  /** What cannot be opened gives way: a second run to none, an image to the run's opening one if none is shown yet. */
  function fail(error) {
    app.stage.wait("");
    const { image, compare } = state.get();
    const pictured = app.stage.scene()?.key === image;
    if (!(error instanceof Refused)) app.notify(error.message);
    else if (pictured && compare) {
      app.missing(`${error.message}. The run is shown alone.`);
      state.set({ compare: "" }, { quietly: true });
    } else if (!app.stage.scene() && about && image !== about.first) {
      app.missing(`${error.message}. Image ${about.first.split("/")[1]} is shown instead.`);
      state.set({ image: about.first }, { quietly: true });
    } else app.notify(error.message);
  }

  async function open(number, key, run, compare) {
    const asked = { key, who: WHO, run, compare };
    const first = question(asked);
    first.catch(() => null); // the picture may be refused first; either says why
    const picture = await ask("image", { key, run });
    if (number !== loads) return;
    app.stage.showImage(picture);
    onPicture(picture);
    const scene = await whole(number, asked, first);
    if (number !== loads || !scene) return;
    app.stage.wait("");
    app.stage.showScene(scene);
    shown = selected();
    onScene();
  }

  function selected() {
    const { run, compare, image } = state.get();
    return JSON.stringify([run, compare, image]);
  }

  /** The scene, asked for until it is whole; boxes are shown as they come. */
  async function whole(number, asked, first) {
    /** @type {Progress | null} */
    let progress = await first;
    const begun = performance.now();
    let drawn = 0;
    while (number === loads && progress && !progress.scene) {
      if (progress.boxes.length > drawn) app.stage.showBoxes(progress.boxes);
      drawn = progress.boxes.length;
      tick(progress, begun);
      progress = await question({ ...asked, have: progress.stage });
    }
    clearInterval(ticking);
    return progress?.scene;
  }

  /** Says what is computed, and for how long. */
  function tick(progress, begun) {
    const text = describe(progress, Boolean(about?.teacher));
    const show = () => {
      const seconds = (performance.now() - begun) / 1000 + progress.seconds;
      app.stage.wait(`${text} · ${seconds.toFixed(0)} s`);
    };
    clearInterval(ticking);
    ticking = setInterval(show, 500);
    show();
  }

  /** Whether the scene on the canvas is the one that is selected. */
  const isShown = () => shown === selected();

  return { load, isShown, about: () => about };
}

/** @param {Progress} progress */
function describe({ stage, done, boxes }, hasTeacher) {
  const steps = [...(hasTeacher ? ["Running the teacher"] : []), "Running the student", "Matching queries"];
  const first = steps[Math.min(boxes.length, steps.length - 1)];
  const now = done[0] && done.length > 1 ? "Running the second student" : first;
  const all = steps.length * done.length;
  return `${now} · step ${Math.min(stage + 1, all)} of ${all}`;
}
