// A chart of points between 0 and 1, which can be chosen.
import { draw } from "../dom.js";
import { axes, chart } from "./axes.js";

/**
 * @param {string} name
 * @param {{x: number, y: number, id: number, title: string, class: string, item?: string}[]} points
 * @param {[string, string]} labels
 * @param {{chosen?: number | null, pick?: (id: number) => void, level?: number}} options `level` is a dashed line
 */
export function scatter(name, points, labels, { chosen, pick, level } = {}) {
  const { x, y, grid, left, right } = axes([0, 1, 0, 1], labels);
  const dot = (p) => {
    const attributes = {
      class: `dot ${p.class}${p.id === chosen ? " chosen" : ""}`,
      cx: x(p.x),
      cy: y(p.y),
      r: p.id === chosen ? 6 : 3.6,
      "data-point": p.id,
      "data-item": p.item,
      onclick: () => pick(p.id),
    };
    return draw("circle", attributes, draw("title", null, p.title));
  };
  const onTop = [...points].sort((a, b) => Number(a.id === chosen) - Number(b.id === chosen));
  const line =
    level === undefined ? null : draw("line", { class: "level", x1: left, x2: right, y1: y(level), y2: y(level) });
  return chart(name, ...grid, line, ...onTop.map(dot));
}
