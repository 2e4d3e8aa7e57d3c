// View 5: the figures and tables of the paper, made from the runs that are open.
import { check, choice, heading, make } from "../../dom.js";
import { ask } from "../../server.js";
import { faint } from "../blocks.js";
import { pageNodes } from "./figure.js";
import { pageList } from "./list.js";
import { about, ofOneRun, oneRun, uploaded } from "./one_image.js";

const EVERY = 1000; // milliseconds between questions whether a figure is made
const NO_IMAGE = -(2 ** 31); // any other number may be the id of an image
const SAYS = "Made from the runs that are open, by the same code as the command python -m analysis NAME.";
const FIRST = { shipped: false, image: true, main: true, other: true }; // what figures are made from at first
const HINT =
  "Choose one from the list. Figures of one image take seconds; those of a whole run analyse all its images once, " +
  "and keep the results for the next figure.";

/**
 * A figure or table; `image` if it is of one image.
 * @typedef {{kind: "figure" | "table", name: string, title: string, image: boolean}} Page
 */

/**
 * @param {import("../../types.js").App} app
 * @returns {import("../../types.js").View}
 */
export function figuresView(app) {
  const list = pageList(open);
  const body = make("section", { class: "dd-card dd-paper" });
  const options = make("div", { class: "dd-few" });
  const full = make("div", { class: "dd-figures" }, list.node, body);
  /** @type {Page[] | null} */
  let pages = null;
  let timer = 0;
  let loads = 0; // a newer one ends those before

  function open(name) {
    if (app.state.get().figure === name) load();
    else app.state.set({ figure: name });
  }

  /** Whether figures are made from something. */
  const from = (key) => FIRST[key] !== app.state.get().made.split(",").includes(key);

  const page = () => pages?.find(({ name }) => name === app.state.get().figure);

  async function load() {
    const number = ++loads;
    clearTimeout(timer);
    try {
      if (!pages) await prepare();
      if (number !== loads) return;
      choose();
      const { figure } = app.state.get();
      if (figure && !page()) app.missing(`There is no figure or table ${figure}; the list shows those there are.`);
      if (page()) await wait(number, question());
    } catch (error) {
      if (number === loads) fail(error.message);
    }
  }

  async function prepare() {
    ({ pages } = await ask("figures"));
    list.show(pages);
  }

  /** What the page that is chosen is made from. */
  function question() {
    const { run, compare, image } = app.state.get();
    if (ofOneRun(page())) {
      const asked = { name: page().name, runs: [oneRun(app)], shipped: false };
      return { ...asked, image: from("image") && !uploaded(app) ? Number(image.split("/")[1]) : NO_IMAGE };
    }
    const runs = [from("main") && run, from("other") && compare].filter(Boolean);
    const [kind, id] = image.split("/");
    const ofImage = page().image && from("image") && kind === "image";
    return {
      name: page().name,
      runs,
      shipped: from("shipped") || !runs.length,
      image: ofImage ? Number(id) : NO_IMAGE,
    };
  }

  /** Marks the page that is chosen, and offers what it can be made from. */
  function choose() {
    list.mark(page()?.name);
    options.replaceChildren(make("span", { class: "dd-faint" }, "Made from"), ...sources());
    delete body.dataset.state;
    if (!page()) body.replaceChildren(heading("Figures and tables of the paper", SAYS), faint(HINT));
  }

  function sources() {
    const { run, compare, image } = app.state.get();
    const name = app.stage.picture()?.name || image.replace("/", " ");
    const one = ofOneRun(page());
    return [
      one ? runChoice() : source(run, "main", "The selected run"),
      !one && compare && source(compare, "other", "The run that it is compared with"),
      !one &&
        source("runs of the project", "shipped", "The runs that come with the project, and the results of its studies"),
      page()?.image &&
        image.startsWith("image/") &&
        source(name, "image", "The selected image, instead of the one that the figure chooses itself"),
    ].filter(Boolean);
  }

  function source(title, key, says) {
    const change = () => app.state.set({ made: flipped(app.state.get().made, key) });
    return check(title, from(key), change, { says, id: `of-${key}` });
  }

  /** Of which run a figure of one run is. */
  function runChoice() {
    const { run, compare } = app.state.get();
    const runs = [run, compare].filter(Boolean).map((id) => ({ id, title: id }));
    return choice("Run", runs, oneRun(app), (of) => app.state.set({ of }));
  }

  function header() {
    const head = make("header", null, make("h2", null, page().title), options);
    return make("div", null, head, ofOneRun(page()) ? faint(about(app), { class: "dd-faint dd-about" }) : "");
  }

  function fail(why) {
    body.replaceChildren(page() ? header() : "", make("p", { class: "dd-says" }, why));
    body.dataset.state = "failed";
  }

  /** Asks until the page is made; another page, or other runs, end this. */
  async function wait(number, asked) {
    const answer = await ask("figure", asked);
    if (number !== loads || app.current() !== "figures") return;
    body.dataset.page = asked.name;
    if (answer.state === "failed") return fail(answer.said);
    if (answer.state === "made") body.replaceChildren(header(), ...pageNodes(app, answer, asked));
    else {
      showProgress(answer);
      timer = setTimeout(() => wait(number, asked).catch((error) => number === loads && fail(error.message)), EVERY);
    }
    body.dataset.state = answer.state;
  }

  function showProgress({ seconds, said }) {
    const text = faint(`${seconds.toFixed(0)} s · ${said || "reading the runs"}`, { "aria-live": "polite" });
    body.replaceChildren(header(), text, make("progress", { "aria-label": "Working" }));
  }

  return { id: "figures", title: "Figures", full, needs: ["figure", "compare", "made", "of"], load };
}

/** The names with one put in, or taken out if it is there. */
function flipped(names, name) {
  const all = names.split(",").filter(Boolean);
  return (all.includes(name) ? all.filter((other) => other !== name) : [...all, name]).join();
}
