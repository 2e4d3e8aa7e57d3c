// What the canvas shows of a scene: the layer, what is switched on, and what is chosen.
import { itemsOfLayer, visible } from "./items.js";
import { Layout } from "./layout.js";

/** @typedef {import("./types.js").Item} Item */

/**
 * @typedef {object} Options
 * @property {Set<string>} hidden ids of groups and lines that are switched off
 * @property {number} minScore
 * @property {number} top only so many queries of each group, the highest scores; 0 for all
 * @property {string} category class whose boxes are shown, "" for all
 * @property {number | null} label its number
 * @property {boolean} names
 * @property {boolean} sideBySide
 * @property {boolean} sampling whether the sampling locations of the chosen query are shown
 */

export class Model {
  /** @type {import("./types.js").Picture | null} */
  picture = null;
  /** @type {import("./types.js").Scene | null} */
  scene = null;
  /** @type {{painter: (canvas: HTMLCanvasElement) => void, side: string} | null} a map over the image */
  heat = null;
  /** @type {{key: string, places: [number, number, number][], says: string} | null} of the query with this key */
  sampling = null;
  /** @type {import("./types.js").LayerItems | null} */
  current = null;
  /** @type {ReturnType<typeof visible> | null} */
  visible = null;
  layout = new Layout(["all"]);
  size = { width: 0, height: 0 }; // of the overlay, in pixels
  /** @type {Options} */
  options = {
    hidden: new Set(),
    minScore: 0.3,
    top: 0,
    category: "",
    label: null,
    names: true,
    sideBySide: false,
    sampling: false,
  };
  #known = new Set(); // ids of groups and lines that were shown before

  /** @param {import("../../types.js").Selection} selection */
  constructor(selection) {
    this.selection = selection;
  }

  /** @returns {number} */
  get layer() {
    const last = this.scene ? this.scene.layers - 1 : 0;
    return Math.min(this.selection.get().layer ?? last, last);
  }

  /** @returns {Item | null} */
  get chosen() {
    const { side, index } = this.selection.get();
    return this.current && side ? this.current.find({ side, index }) : null;
  }

  /** What is new to the page is hidden where it is not to be on at first; what the user switched stays as it is. */
  show(scene) {
    const all = [...scene.groups, ...scene.lines];
    for (const { id, on } of all) if (on === false && !this.#known.has(id)) this.options.hidden.add(id);
    for (const { id } of all) this.#known.add(id);
    [this.scene, this.current, this.visible] = [scene, null, null];
    if (!this.picture.classes.includes(this.options.category)) this.showClass("");
  }

  /** Boxes of one class only, or of all for "". */
  showClass(category) {
    this.options.category = category;
    this.options.label = category ? this.picture.classes.indexOf(category) : null;
  }

  /** Lays the boxes out on one image, or side by side. */
  arrange() {
    this.layout = Layout.of(this.scene.groups, this.options.sideBySide);
  }

  /** Finds what is visible anew. */
  update() {
    if (this.current?.layer !== this.layer) this.current = itemsOfLayer(this.scene, this.layer);
    this.visible = visible(this.current, this.options, this.chosen);
  }

  isShown(id) {
    return !this.options.hidden.has(id);
  }

  group(id) {
    return this.scene.groups.find((group) => group.id === id);
  }

  classOf(item) {
    return this.picture.classes[item.label];
  }

  /** "student query 5: ring 0.83" */
  describe(item) {
    const score = item.side === "truth" ? "" : ` ${item.score.toFixed(2)}`;
    return `${item.group.one} ${item.index}: ${this.classOf(item)}${score}`;
  }

  /** Identifies an item of this scene in this layer. */
  keyOf(item) {
    return `${this.scene.key} ${this.layer} ${item.side}.${item.index}`;
  }

  /** How many boxes or pairs a switch is for: boxes that score enough, "" for what is not here. */
  count(id) {
    const line = this.current.lines.find((l) => l.line.id === id);
    if (line) return line.pairs.length;
    const items = this.current.sides[id];
    return items ? items.filter((item) => item.score >= this.options.minScore).length : "";
  }
}
