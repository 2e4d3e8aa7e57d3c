// The picture under its boxes. `props.value` is a scene as JSON (app/views.py); every layer is in it, so the slider needs no server.
const root = element.querySelector('.dd-canvas');
const LABELLED = 40; // more boxes than this, and names would hide the picture
const HALO = 0.2; // the score from which a box has a dark edge around its own: hundreds of them would cost time
const NARROW = 120; // pixels of a box over which two names do not fit side by side
const state = {layer: 0, chosen: null, hidden: new Set(), floor: 0.3, names: true};
let scene = null;
let asked = 0;

const percent = value => (100 * value).toFixed(3) + '%';
const same = (a, b) => a && b && a.side === b.side && a.index === b.index;
const group = side => scene.groups.find(g => g.id === side);
const frameOf = side => { const layers = group(side).layers; return layers[Math.min(state.layer, layers.length - 1)]; };
const boxOf = ({side, index}) => frameOf(side).boxes[index];
const scoreOf = ({side, index}) => { const scores = frameOf(side).scores; return scores ? scores[index] : 1; };
const classOf = ({side, index}) => scene.classes[frameOf(side).labels[index]];
const center = box => [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
const area = box => Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]);
const shown = id => !state.hidden.has(id);

function nameOf(item) {
  return `${group(item.side).one} ${item.index}`;
}

function describe(item) {
  const scores = frameOf(item.side).scores;
  return `${nameOf(item)}: ${classOf(item)}${scores ? ' ' + scoreOf(item).toFixed(2) : ''}`;
}

// Pairs of the lines that are switched on, and all of those that end at what was chosen.
function pairs() {
  const found = [];
  for (const line of scene.lines) {
    const layer = line.layers[Math.min(state.layer, line.layers.length - 1)];
    for (const [from, to] of layer) {
      const pair = {line, from: {side: line.from, index: from}, to: {side: line.to, index: to}};
      const ends = same(pair.from, state.chosen) || same(pair.to, state.chosen);
      if (ends || shown(line.id)) found.push({...pair, ends});
    }
  }
  return found;
}

function visible(links) {
  const wanted = new Map();
  const add = item => wanted.set(item.side + item.index, item);
  for (const g of scene.groups.filter(g => shown(g.id))) {
    frameOf(g.id).boxes.forEach((_, index) => { const item = {side: g.id, index}; if (scoreOf(item) >= state.floor) add(item); });
  }
  for (const {from, to, ends} of links) for (const end of [from, to]) if (ends || shown(end.side)) add(end);
  if (state.chosen) add(state.chosen);
  return [...wanted.values()].sort((a, b) => area(boxOf(b)) - area(boxOf(a)));
}

function paintBox(item, near) {
  const [x0, y0, x1, y1] = boxOf(item);
  const place = {x: percent(x0), y: percent(y0), width: percent(Math.max(0, x1 - x0)), height: percent(Math.max(0, y1 - y0))};
  const classes = ['dd-box', group(item.side).role];
  if (group(item.side).extra) classes.push('extra');
  if (same(item, state.chosen)) classes.push('chosen');
  else if (state.chosen && !near.has(item.side + item.index)) classes.push('dim');
  const halo = scoreOf(item) >= HALO || same(item, state.chosen) ? draw('rect', {...place, class: 'halo'}) : null;
  return draw('g', {class: classes.join(' '), 'data-side': item.side, 'data-index': item.index, style: `--score:${scoreOf(item)}`},
    draw('title', null, describe(item)), halo, draw('rect', {...place, class: 'edge'}));
}

function paintName(item) {
  const [x0, y0, x1, y1] = boxOf(item);
  const role = group(item.side).role;
  const text = role === 'truth' ? classOf(item) : `${classOf(item)} ${Math.round(100 * scoreOf(item))}`;
  const narrow = (x1 - x0) * root.querySelector('svg').clientWidth < NARROW;
  const spot = {truth: [x0, y1, 13, 'start'], student: [x0, y0, narrow ? -17 : -5, 'start'], teacher: [x1, y0, -5, 'end']}[role];
  return draw('text', {class: `dd-name ${role}`, x: percent(spot[0]), y: percent(spot[1]), dy: spot[2], 'text-anchor': spot[3]}, text);
}

function paintLine({line, from, to, ends}) {
  const [a, b] = [center(boxOf(from)), center(boxOf(to))];
  const place = {x1: percent(a[0]), y1: percent(a[1]), x2: percent(b[0]), y2: percent(b[1])};
  const dot = (p, side) => draw('circle', {class: group(side).role, cx: percent(p[0]), cy: percent(p[1]), r: 3.5});
  const dim = state.chosen && !ends ? ' dim' : '';
  return draw('g', {class: `dd-line ${line.look}${dim}`, 'data-line': line.id, 'data-from': from.index, 'data-to': to.index},
    draw('line', {...place, class: 'halo'}), draw('line', {...place, class: 'edge'}), dot(a, from.side), dot(b, to.side));
}

// Where the chosen query was in each layer.
function paintTrail() {
  if (!state.chosen || group(state.chosen.side).layers.length < 2) return [];
  const path = group(state.chosen.side).layers.map(layer => center(layer.boxes[state.chosen.index]));
  return path.slice(1).map((p, i) => draw('line', {class: 'dd-trail', x1: percent(path[i][0]), y1: percent(path[i][1]), x2: percent(p[0]), y2: percent(p[1])}));
}

function paint() {
  const links = pairs();
  const items = visible(links);
  const near = new Set(links.filter(l => l.ends).flatMap(l => [l.from, l.to]).map(e => e.side + e.index));
  const named = state.names && items.length <= LABELLED ? items : items.filter(i => same(i, state.chosen) || near.has(i.side + i.index));
  const boxes = items.map(item => paintBox(item, near));
  boxes.sort((a, b) => a.classList.contains('chosen') - b.classList.contains('chosen'));
  const names = named.filter(i => !state.chosen || same(i, state.chosen) || near.has(i.side + i.index)).map(paintName);
  root.querySelector('svg').replaceChildren(...boxes, ...paintTrail(), ...links.map(paintLine), ...names);
  report(items.length);
}

function report(count) {
  const layers = scene.layers;
  root.querySelector('.dd-layer output').textContent = `${state.layer + 1} of ${layers}`;
  root.querySelector('.dd-floor output').textContent = state.floor.toFixed(2);
  for (const chip of root.querySelectorAll('[data-count]')) chip.textContent = countOf(chip.dataset.count);
  root.dataset.key = scene.key;
  root.dataset.layer = state.layer;
  root.dataset.boxes = count;
}

function countOf(id) {
  const line = scene.lines.find(l => l.id === id);
  if (line) return line.layers[Math.min(state.layer, line.layers.length - 1)].length;
  return frameOf(id).boxes.filter((_, index) => scoreOf({side: id, index}) >= state.floor).length;
}

function choose(item) {
  state.chosen = item;
  paint();
  root.querySelector('.dd-live').textContent = item ? describe(item) : 'nothing chosen';
  ask();
}

// The numbers of a query come from the server, from the very costs that matched it.
function ask() {
  clearTimeout(asked);
  const {key} = scene, {layer, chosen} = state;
  asked = setTimeout(() => trigger('pick', {key, layer, side: chosen ? chosen.side : '', index: chosen ? chosen.index : 0}), 40);
}

function setLayer(layer) {
  state.layer = Math.max(0, Math.min(scene.layers - 1, layer));
  root.querySelector('.dd-layer input').value = state.layer + 1;
  paint();
  tell('layer', {layer: state.layer});
  ask();
}

// The smallest box under the mouse; a second click at one place takes the next larger one.
function click(event) {
  const hits = document.elementsFromPoint(event.clientX, event.clientY)
    .map(e => e.closest('.dd-box')).filter(e => e && root.contains(e))
    .map(e => ({side: e.dataset.side, index: Number(e.dataset.index)})).sort((a, b) => area(boxOf(a)) - area(boxOf(b)));
  const next = hits[(hits.findIndex(h => same(h, state.chosen)) + 1) % Math.max(1, hits.length)];
  choose(next || null);
}

function press(event) {
  const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  if (step) walk(step);
  else if (event.key === 'Escape') choose(null);
  else if (event.key === 'PageDown') setLayer(state.layer + 1);
  else if (event.key === 'PageUp') setLayer(state.layer - 1);
  else return;
  event.preventDefault();
}

// Through the visible boxes, group after group, the surest first.
function walk(step) {
  const sides = scene.groups.map(g => g.id);
  const items = visible(pairs()).sort((a, b) => sides.indexOf(a.side) - sides.indexOf(b.side) || scoreOf(b) - scoreOf(a) || a.index - b.index);
  if (!items.length) return;
  const at = items.findIndex(i => same(i, state.chosen));
  choose(items[at < 0 ? (step > 0 ? 0 : items.length - 1) : (at + step + items.length) % items.length]);
}

function toggle(id, on) {
  if (on) state.hidden.delete(id); else state.hidden.add(id);
  paint();
}

function chip(item, mark) {
  const input = make('input', {type: 'checkbox', checked: shown(item.id), onchange: e => toggle(item.id, e.target.checked)});
  return make('label', {class: 'dd-chip', title: item.says, 'data-toggle': item.id}, input, mark, make('span', null, item.title), make('span', {class: 'count', 'data-count': item.id}));
}

function legend() {
  const boxes = scene.groups.map(g => chip(g, make('i', {class: `swatch ${g.role}${g.extra ? ' extra' : ''}`})));
  const lines = scene.lines.map(l => chip(l, make('i', {class: `stroke ${l.look}`})));
  const names = make('input', {type: 'checkbox', checked: state.names, onchange: e => { state.names = e.target.checked; paint(); }});
  return make('div', {class: 'dd-legend'},
    make('div', {class: 'row', role: 'group', 'aria-label': 'Boxes'}, make('span', {class: 'head'}, 'Boxes'), boxes, make('label', {class: 'dd-chip', 'data-toggle': 'names'}, names, make('span', null, 'Names'))),
    lines.length ? make('div', {class: 'row', role: 'group', 'aria-label': 'Lines between matched pairs'}, make('span', {class: 'head'}, 'Matches'), lines) : null);
}

function stage() {
  const overlay = draw('svg', {class: 'dd-overlay', tabindex: 0, role: 'application', 'aria-label': 'Boxes over the image. Arrow keys go from box to box, Page up and Page down from layer to layer, Escape lets go.'});
  overlay.addEventListener('click', click);
  overlay.addEventListener('keydown', press);
  const image = make('img', {src: scene.image, alt: scene.name, draggable: 'false', class: scene.width < 240 ? 'coarse' : ''});
  const frame = make('div', {class: 'dd-frame', style: `--w:${scene.width};--h:${scene.height}`}, image, overlay);
  const banner = scene.banner && make('p', {class: 'dd-banner'}, scene.banner);
  return make('div', {class: 'dd-stage'}, frame, banner);
}

function sliders() {
  const layer = make('input', {type: 'range', min: 1, max: scene.layers, step: 1, 'aria-label': 'Decoder layer', oninput: e => setLayer(Number(e.target.value) - 1)});
  layer.value = state.layer + 1;
  const floor = make('input', {type: 'range', min: 0, max: 1, step: 0.01, 'aria-label': 'Least score of a box', oninput: e => { state.floor = Number(e.target.value); paint(); }});
  floor.value = state.floor;
  const help = 'Boxes that score less are drawn only where a line ends; at 0 all queries are shown';
  return make('div', {class: 'dd-sliders'},
    make('label', {class: 'dd-layer', title: 'Each decoder layer refines the boxes of the one before; each is matched anew'}, make('span', null, 'Decoder layer'), layer, make('output')),
    make('label', {class: 'dd-floor', title: help}, make('span', null, 'Score from'), floor, make('output')));
}

function show() {
  if (!props.value) return;
  const next = JSON.parse(props.value);
  const first = scene === null;
  scene = next;
  if (first) for (const item of [...scene.groups, ...scene.lines]) if (!item.on) state.hidden.add(item.id);
  state.layer = first ? scene.layers - 1 : Math.min(state.layer, scene.layers - 1);
  state.chosen = null;
  const notes = scene.notes.map(note => make('p', {class: 'dd-note'}, note));
  root.replaceChildren(legend(), stage(), sliders(), ...notes, make('p', {class: 'dd-live', 'aria-live': 'polite'}));
  paint();
  tell('layer', {layer: state.layer});
  tell('scene', {key: scene.key});
  ask();
}

show();
watch('value', show);
hear('choose', item => { if (scene && group(item.side)) choose(item); });
