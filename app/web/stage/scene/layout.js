// Where boxes lie on the canvas: on one image, or side by side on one for each detector, each with the truth.
import { center } from "./items.js";

const GAP = 0.02; // between panes, in fractions of the width of all

/** Positions across the canvas are fractions of the width of all panes together. */
export class Layout {
  /** @param {string[]} names the sides that have a pane of their own; a single name is the pane of all sides */
  constructor(names) {
    this.names = names;
    this.width = (1 - (names.length - 1) * GAP) / names.length; // of a pane
  }

  /** @param {import("./types.js").Group[]} groups */
  static of(groups, sideBySide) {
    const sides = groups.filter((group) => group.id !== "truth" && !group.extra).map((group) => group.id);
    return new Layout(sideBySide && sides.length > 1 ? sides : ["all"]);
  }

  /** The number of the pane that shows a side; further groups of queries are in the student's. */
  paneOf(side) {
    return Math.max(0, this.names.indexOf(side === "teacher" || side === "other" ? side : "student"));
  }

  /** The panes that show an item: the truth is in all. */
  panesOf(item) {
    return item.side === "truth" ? this.names.map((_, pane) => pane) : [this.paneOf(item.side)];
  }

  /** The position across the canvas of a position across a pane. */
  across(x, pane) {
    return pane * (this.width + GAP) + x * this.width;
  }

  /** The pane under a position across the canvas, and the position across that pane. */
  under(x) {
    const pane = Math.min(this.names.length - 1, Math.floor(x / (this.width + GAP)));
    return { pane, x: (x - pane * (this.width + GAP)) / this.width };
  }

  /** The two ends of a pair's line; the end at an object is in the pane of the other end. */
  ends({ from, to }) {
    const pane = this.paneOf(from.side);
    const [a, b] = [center(from.box), center(to.box)];
    return [
      [this.across(a[0], pane), a[1]],
      [this.across(b[0], to.side === "truth" ? pane : this.paneOf(to.side)), b[1]],
    ];
  }
}
