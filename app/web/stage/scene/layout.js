// Which pane shows which boxes: one image for all, or side by side one for each detector, each with the truth.

export class Layout {
  /** @param {string[]} names the sides that have a pane of their own; a single name is the pane of all sides */
  constructor(names) {
    this.names = names;
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

  /** The panes of the two ends of a pair's line; the end at an object is in the pane of the other end. */
  panesOfEnds({ from, to }) {
    const pane = this.paneOf(from.side);
    return [pane, to.side === "truth" ? pane : this.paneOf(to.side)];
  }
}
