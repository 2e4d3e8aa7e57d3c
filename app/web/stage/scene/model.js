// What the canvas shows of a scene: the layer, what is switched on, and what is chosen.
import { itemsOfLayer, pairsOfClass, passing, visible } from "./items.js";
import { Layout } from "./layout.js";
import { View } from "./view.js";
import { FIT, read } from "./zoom.js";

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
 * @property {"boxes" | "density" | "layers"} look
 */

const CORNER = 42; // pixels, the height of what lies in the lower corners of the canvas
const SENTENCE = 330; // pixels of the sentence in the left one

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
  size = { width: 0, height: 0 }; // of the canvas, in pixels
  view = new View({ width: 1, height: 1 }, { width: 1, height: 1 }, 1, FIT);
  buttons = 0; // pixels over which the buttons in the canvas's corner reach
  /** @type {Item | null} under the mouse, here or in the panel */
  hovered = null;
  /** @param {import("../../types.js").Selection} selection */
  constructor(selection) {
    this.selection = selection;
  }

  /** @returns {Options} as they are selected; a class that the image does not have restricts nothing */
  get options() {
    const { floor, top, only, names, apart, reads, look } = this.selection.get();
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
      look,
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
    [this.scene, this.current, this.visible, this.hovered] = [scene, null, null, null];
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

  /** Finds anew where on the canvas the image is. */
  aim() {
    this.view = new View(this.size, this.picture, this.layout.names.length, read(this.selection.get().zoom));
  }

  /** Parts of the canvas under its buttons, and under the sentence that stands beside or above them. */
  get covered() {
    const { width, height } = this.size;
    const lower = this.buttons + SENTENCE > width ? 36 : 0;
    const sentence = { left: 0, top: height - CORNER - lower, width: SENTENCE, height: CORNER };
    return [
      { left: width - this.buttons - 16, top: height - CORNER, width: this.buttons + 16, height: CORNER },
      sentence,
    ];
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

  /** How many boxes or pairs of a switch are drawn, or would be if it were on; "" for what is not here. */
  count(id) {
    const line = this.current.lines.find((l) => l.line.id === id);
    if (line) return String(pairsOfClass(line.pairs, this.options).length);
    const items = this.current.sides[id];
    if (!items) return "";
    const drawn = this.isShown(id)
      ? this.visible.items.filter(({ side }) => side === id)
      : passing(items, this.options);
    return drawn.length === items.length ? String(items.length) : `${drawn.length} of ${items.length}`;
  }
}
