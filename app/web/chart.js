// Plain charts: points, and lines over steps.
const CHART = {width: 480, height: 260, left: 44, right: 12, top: 10, bottom: 34};

function ticks(low, high, count = 5) {
  const raw = (high - low || 1) / count, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(k => k * size).find(s => s >= raw);
  const found = [];
  for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + 1e-9 * step; x += step) found.push(Math.abs(x) < 1e-12 ? 0 : x);
  return found;
}

function axes(range, labels, whole = false, size = CHART) {
  const [x0, x1, y0, y1] = range, inner = {w: size.width - size.left - size.right, h: size.height - size.top - size.bottom};
  const x = v => size.left + (v - x0) / (x1 - x0 || 1) * inner.w, y = v => size.top + inner.h - (v - y0) / (y1 - y0 || 1) * inner.h;
  const say = v => minus(String(Number(v.toPrecision(3))));
  const grid = [
    ...ticks(x0, x1).filter(v => !whole || Math.abs(v - Math.round(v)) < 1e-6).map(v => draw('g', {class: 'tick'}, draw('line', {x1: x(v), x2: x(v), y1: size.top, y2: size.top + inner.h}), draw('text', {x: x(v), y: size.height - 18, 'text-anchor': 'middle'}, say(v)))),
    ...ticks(y0, y1).map(v => draw('g', {class: 'tick'}, draw('line', {x1: size.left, x2: size.left + inner.w, y1: y(v), y2: y(v)}), draw('text', {x: size.left - 6, y: y(v) + 4, 'text-anchor': 'end'}, say(v)))),
    draw('text', {class: 'label', x: size.left + inner.w / 2, y: size.height - 3, 'text-anchor': 'middle'}, labels[0]),
    draw('text', {class: 'label', x: 0, y: 0, transform: `translate(11 ${size.top + inner.h / 2}) rotate(-90)`, 'text-anchor': 'middle'}, labels[1])];
  return {x, y, grid};
}

function chart(name, ...children) {
  return draw('svg', {class: 'dd-chart', viewBox: `0 0 ${CHART.width} ${CHART.height}`, role: 'img', 'aria-label': name}, ...children);
}

// points: [{x, y, id, title, class}]
function scatter(name, points, labels, {chosen, pick, level} = {}) {
  const {x, y, grid} = axes([0, 1, 0, 1], labels);
  const dots = points.map(p => draw('circle', {class: `dot ${p.class || ''}${p.id === chosen ? ' chosen' : ''}`, cx: x(p.x), cy: y(p.y), r: p.id === chosen ? 6 : 3.6, 'data-point': p.id, onclick: () => pick(p.id)}, draw('title', null, p.title)));
  dots.sort((a, b) => a.classList.contains('chosen') - b.classList.contains('chosen'));
  const line = level === undefined ? null : draw('line', {class: 'level', x1: x(0), x2: x(1), y1: y(level), y2: y(level)});
  return chart(name, ...grid, line, ...dots);
}

// series: [{title, role, points: [[x, y]], dashed}]
function curves(name, series, labels, {zero, whole} = {}) {
  const all = series.flatMap(s => s.points).filter(p => p[1] !== null);
  if (!all.length) return make('p', {class: 'dd-note'}, 'Nothing has been measured yet.');
  const xs = all.map(p => p[0]), ys = all.map(p => p[1]);
  const low = zero ? Math.min(0, ...ys) : Math.min(...ys), high = Math.max(...ys);
  const {x, y, grid} = axes([Math.min(...xs), Math.max(...xs), low, high === low ? low + 1 : high], labels, whole);
  const paths = series.map(s => {
    const points = s.points.filter(p => p[1] !== null), where = points.map(p => `${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`);
    const dots = points.length < 30 ? points.map(p => draw('circle', {class: 'dot', cx: x(p[0]), cy: y(p[1]), r: 2.6}, draw('title', null, `${s.title}: ${short(p[1])}`))) : [];
    return draw('g', {class: `curve ${s.role || ''}${s.dashed ? ' dashed' : ''}`, 'data-series': s.title}, where.length ? draw('path', {d: 'M' + where.join('L')}) : null, ...dots);
  });
  const legend = make('div', {class: 'dd-series'}, series.map(s => make('span', {class: s.role}, make('i', {class: s.dashed ? 'dashed' : ''}), s.title)));
  return make('div', {class: 'dd-curves'}, chart(name, ...grid, ...paths), legend);
}
