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
  /** @param {import("../../types.js").Selection} selection */
  constructor(selection) {
    this.selection = selection;
  }

  /** @returns {Options} as they are selected; a class that the image does not have restricts nothing */
  get options() {
    const { floor, top, only, names, apart, reads } = this.selection.get();
    const label = this.picture ? this.picture.classes.indexOf(only) : -1;
    return {
      hidden: this.#hidden(),
      minScore: floor,
      top,
      category: label < 0 ? "" : only,
      label: label < 0 ? null : label,
      names,
      sideBySide: apart,
      sampling: reads,
    };
  }

  /** What is not to be on at first, unless it is switched on; and what is switched off. */
  #hidden() {
    const { show, hide } = this.selection.get();
    const [on, off] = [show, hide].map((ids) => ids.split(","));
    const all = this.scene ? [...this.scene.groups, ...this.scene.lines] : [];
    const hidden = all.filter((x) => off.includes(x.id) || (x.on === false && !on.includes(x.id)));
    return new Set(hidden.map(({ id }) => id));
  }

  /** Switches a group or a line on or off. */
  toggle(id, on) {
    const { show, hide } = this.selection.get();
    const without = (ids) => ids.split(",").filter((other) => other && other !== id);
    const first = [...this.scene.groups, ...this.scene.lines].find((x) => x.id === id).on !== false;
    const [shown, hidden] = [without(show), without(hide)];
    if (on && !first) shown.push(id);
    if (!on && first) hidden.push(id);
    this.selection.set({ show: shown.join(), hide: hidden.join() });
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

  show(scene) {
    [this.scene, this.current, this.visible] = [scene, null, null];
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
    const { minScore } = this.options;
    return items ? items.filter((item) => item.score >= minScore).length : "";
  }
}
