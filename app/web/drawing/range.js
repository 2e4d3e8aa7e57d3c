// Which part of curves is seen, and how smooth.

/**
 * @typedef {object} Options
 * @property {boolean} [zero] y includes 0
 * @property {boolean} [whole] whole numbers on the x axis
 * @property {boolean} [log] a logarithmic y axis, without values that are not above 0
 * @property {number} [smooth] from 0 for the values themselves, to below 1 for a long mean
 * @property {[number, number] | null} [view] the part of the x axis that is seen; null for all
 * @property {boolean} [most] the y axis ends where most values do, so that a few high ones do not squash the rest
 * @property {(from: number, to: number) => void} [choose] called with the part of the x axis that was dragged over
 */

const MOST = 0.98; // of the values are below the end of the axis
const ROOM = 1.08; // above that value
const HEAD = 1.04; // above the highest value, which would else lie on the edge

/** The points that have a value. */
export const measured = (points) => points.filter(([, value]) => value !== null);

/** The points that a chart shows. @param {Options} options */
export function seen(points, { view, log }) {
  const inView = ([at]) => !view || (at >= view[0] && at <= view[1]);
  return points.filter((point) => inView(point) && (!log || point[1] > 0));
}

/** The mean of each point and those before it, whose weight falls by `smooth` from one to the next. */
export function smoothed(points, smooth = 0) {
  let [sum, weight] = [0, 0];
  return points.map(([at, value]) => {
    [sum, weight] = [smooth * sum + value, smooth * weight + 1];
    return [at, sum / weight];
  });
}

/**
 * The range of the axes.
 * @param {{points: number[][]}[]} series
 * @param {Options} options
 * @returns {[number, number, number, number]}
 */
export function rangeOf(series, { zero, log, most, view }) {
  const points = series.flatMap((s) => s.points);
  const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1]).sort((a, b) => a - b)];
  const low = zero && !log ? Math.min(0, ys[0]) : ys[0];
  const usual = ys[Math.floor(MOST * (ys.length - 1))];
  const last = ys[ys.length - 1];
  const all = log ? last : low + HEAD * (last - low);
  const high = most && !log ? Math.min(all, low + ROOM * (usual - low)) : all;
  const [from, to] = view || [xs.reduce((a, b) => Math.min(a, b)), xs.reduce((a, b) => Math.max(a, b))];
  return [from, to, low, high <= low ? last + (log ? low : 1) : high];
}
