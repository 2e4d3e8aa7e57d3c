// The image under its boxes, which every view of one image shares. A scene holds all layers, so the slider needs no server.
const LABELLED = 40; // more boxes than this, and names would hide the picture
const HALO = 0.2; // the score from which a box has a dark edge around its own
const RIM = 30; // pixels around the image in which boxes that leave it are drawn
const NARROW = 120; // pixels of a box over which two names do not fit side by side
const GAP = 0.02; // between panes, of the width of all
const PLAY = 700; // milliseconds of a layer while it plays

function stage(host, app) {
  const look = {hidden: new Set(), floor: 0.3, top: 0, category: '', label: null, names: true, apart: false, reads: false};
  const many = make('canvas', {class: 'dd-many', 'aria-hidden': 'true', style: `inset:-${RIM}px`});
  const overlay = draw('svg', {class: 'dd-overlay', tabindex: 0, role: 'application', 'aria-label': 'Boxes over the image. Arrow keys go from box to box, Page up and Page down from layer to layer, Escape lets go.'});
  const parts = {legend: make('div', {class: 'dd-legend'}), frame: make('div', {class: 'dd-frame'}), banner: make('p', {class: 'dd-banner', hidden: true}), wait: make('div', {class: 'dd-wait', 'aria-live': 'polite'}), notes: make('div', {class: 'dd-notes'}), reads: make('p', {class: 'dd-note dd-reads', hidden: true}), live: make('p', {class: 'dd-live', 'aria-live': 'polite'}), tip: make('span', {class: 'dd-tip', hidden: true})};
  let picture = null, scene = null, heat = null, playing = 0;
  let now = null, seen = null; // the layer, and what of it is drawn
  let reading = null; // where the chosen query reads, once it was asked for
  const asked = latest('reading');
  let size = {width: 0, height: 0}; // of the overlay, in pixels

  const state = () => app.state.get();
  const layer = () => scene ? Math.min(state().layer ?? scene.layers - 1, scene.layers - 1) : 0;
  const chosen = () => now && state().side ? now.find({side: state().side, index: state().index}) : null;
  const group = side => scene.groups.find(g => g.id === side);
  const shown = name => !look.hidden.has(name);
  const classOf = item => picture.classes[item.label];
  const nameOf = item => `${scene.key} ${layer()} ${item.side}.${item.index}`;
  const describe = item => `${item.group.one} ${item.index}: ${classOf(item)}${item.side === 'truth' ? '' : ' ' + item.score.toFixed(2)}`;

  // Panes: one, or one for each network side by side, each with the truth.
  let laid = {names: ['all'], width: 1};
  function lay() {
    const sides = scene.groups.filter(g => g.id !== 'truth' && !g.extra).map(g => g.id);
    const names = look.apart && sides.length > 1 ? sides : ['all'];
    laid = {names, width: (1 - (names.length - 1) * GAP) / names.length};
  }
  const panes = () => laid.names;
  const paneOf = side => Math.max(0, laid.names.indexOf(side === 'teacher' || side === 'other' ? side : 'student'));
  const panesOf = item => item.side === 'truth' ? laid.names.map((_, k) => k) : [paneOf(item.side)];
  const across = (x, pane) => pane * (laid.width + GAP) + x * laid.width;
  const endsOf = ({from, to}) => { const p = paneOf(from.side); return [from, to].map((item, k) => { const [x, y] = center(item.box); return [across(x, k && to.side !== 'truth' ? paneOf(to.side) : p), y]; }); };

  // Drawing --------------------------------------------------------------------------------------------------------

  // All boxes and lines but those of what is chosen: hundreds, so on a canvas; `host.drawn` says what is on it.
  function paintMany(items, pairs, dim) {
    const {width, height} = size, pen = many.getContext('2d'), ratio = window.devicePixelRatio || 1;
    [many.width, many.height] = [Math.round((width + 2 * RIM) * ratio), Math.round((height + 2 * RIM) * ratio)];
    pen.setTransform(ratio, 0, 0, ratio, RIM * ratio, RIM * ratio);
    const strength = dim ? 0.28 : 1, order = i => (i.side === 'truth' ? 2 : 0) + i.score;
    for (const item of [...items].sort((a, b) => order(a) - order(b))) for (const pane of panesOf(item)) strokeBox(pen, item, pane, strength);
    pen.setLineDash([]);
    for (const pair of pairs) strokeLine(pen, pair, strength);
    host.drawn = {items, pairs, dim};
  }

  function strokeBox(pen, item, pane, strength) {
    const [x0, y0, x1, y1] = item.box, g = item.group, left = Math.round(across(x0, pane) * size.width), top = Math.round(y0 * size.height);
    const place = [left, top, Math.max(1, Math.round(across(Math.max(x0, x1), pane) * size.width) - left), Math.max(1, Math.round(y1 * size.height) - top)];
    pen.globalAlpha = strength * (g.id === 'truth' ? 1 : 0.3 + 0.7 * item.score) * (heat && g.id !== 'truth' ? 0.2 : 1);
    pen.setLineDash([]);
    if (item.score >= HALO && !heat) { pen.strokeStyle = 'rgb(0 0 0 / .45)'; pen.lineWidth = 4; pen.strokeRect(...place); }
    pen.setLineDash(g.extra ? [2, 3] : g.id === 'teacher' ? [7, 3] : []);
    pen.strokeStyle = START.colours[g.role];
    pen.lineWidth = g.id === 'truth' ? 2.5 : 2;
    pen.strokeRect(...place);
  }

  function strokeLine(pen, pair, strength) {
    if (heat) return;
    const [[ax, ay], [bx, by]] = endsOf(pair).map(([x, y]) => [x * size.width, y * size.height]), dear = dearness(pair.line, pair.cost);
    const stroke = (style, width, dash) => { pen.strokeStyle = style; pen.lineWidth = width; pen.setLineDash(dash); pen.beginPath(); pen.moveTo(ax, ay); pen.lineTo(bx, by); pen.stroke(); };
    pen.globalAlpha = strength;
    stroke(dear > 0.6 ? 'rgb(255 255 255 / .7)' : 'rgb(0 0 0 / .55)', 3.8, []);
    stroke(costColour(dear), 2.2, {dashed: [5, 3], dotted: [1.5, 3]}[pair.line.look] || []);
    for (const [x, y, item] of [[ax, ay, pair.from], [bx, by, pair.to]]) {
      pen.beginPath();
      pen.arc(x, y, 3.5, 0, 7);
      pen.fillStyle = START.colours[item.group.role];
      pen.setLineDash([]);
      pen.strokeStyle = 'rgb(0 0 0 / .6)';
      pen.lineWidth = 1;
      pen.fill();
      pen.stroke();
    }
  }

  // What is chosen, and what belongs to it, one by one.
  function paintBox(item, pane) {
    const [x0, y0, x1, y1] = item.box, g = item.group;
    const place = {x: percent(across(x0, pane)), y: percent(y0), width: percent(Math.max(0, x1 - x0) * laid.width), height: percent(Math.max(0, y1 - y0))};
    return draw('g', {class: `dd-box ${g.role}${g.extra ? ' extra' : ''}${g.id === 'teacher' ? ' dashed' : ''}${item === chosen() ? ' chosen' : ''}`, 'data-side': item.side, 'data-index': item.index},
      draw('rect', {...place, class: 'halo'}), draw('rect', {...place, class: 'edge'}));
  }

  function paintLine(pair, nth) {
    const [a, b] = endsOf(pair), dear = dearness(pair.line, pair.cost);
    const place = {x1: percent(a[0]), y1: percent(a[1]), x2: percent(b[0]), y2: percent(b[1])};
    const dot = (p, item) => draw('circle', {class: item.group.role, cx: percent(p[0]), cy: percent(p[1]), r: 3.5});
    const label = pair.cost !== null && draw('text', {class: 'dd-cost', x: percent((a[0] + b[0]) / 2), y: percent((a[1] + b[1]) / 2), dy: -9 - 14 * nth}, short(pair.cost));
    return draw('g', {class: `dd-line ${pair.line.look}${dear > 0.6 ? ' dear' : ''}`, style: `--dear:${dear.toFixed(2)}`}, draw('line', {...place, class: 'halo'}), draw('line', {...place, class: 'edge'}), dot(a, pair.from), dot(b, pair.to), label);
  }

  // Where the chosen query was in each layer.
  function paintTrail(item) {
    if (!item || item.side === 'truth' || item.group.layers.length < 2) return [];
    const pane = paneOf(item.side), path = item.group.layers.map(l => center(l.boxes[item.index])).map(([x, y]) => [percent(across(x, pane)), percent(y)]);
    const legs = path.slice(1).map((p, i) => draw('line', {class: 'dd-trail', x1: path[i][0], y1: path[i][1], x2: p[0], y2: p[1]}));
    const stops = path.map((p, i) => draw('circle', {class: `dd-stop${i === layer() ? ' here' : ''} ${item.group.role}`, cx: p[0], cy: p[1], r: i === layer() ? 4 : 2.5}));
    return [...legs, ...stops];
  }

  // Where the chosen query reads the image in this layer, the weightiest on top.
  function paintReading(item) {
    if (!item || !reading || reading.of !== nameOf(item)) return [];
    const pane = paneOf(item.side), most = Math.max(...reading.places.map(p => p[2]));
    return reading.places.map(([x, y, weight]) => draw('circle', {class: `dd-read ${item.group.role}`, cx: percent(across(x, pane)), cy: percent(y), r: (1 + 4 * Math.sqrt(weight / most)).toFixed(2), 'data-weight': weight}));
  }

  // Names that fit: what is chosen, the truth, then the surest first, none over another.
  function paintNames(items) {
    const taken = [], found = [], mine = chosen();
    const order = i => (i === mine ? 3 : i.side === 'truth' ? 2 : 0) + i.score;
    for (const item of [...items].sort((a, b) => order(b) - order(a))) for (const pane of panesOf(item)) {
      const node = paintName(item, pane), long = 6.4 * node.textContent.length;
      const x = parseFloat(node.getAttribute('x')) / 100 * size.width - (node.getAttribute('text-anchor') === 'end' ? long : 0);
      const y = parseFloat(node.getAttribute('y')) / 100 * size.height + Number(node.getAttribute('dy'));
      if (taken.some(t => x < t.x + t.long && t.x < x + long && Math.abs(y - t.y) < 12)) continue;
      taken.push({x, y, long});
      found.push(node);
    }
    return found;
  }

  function paintName(item, pane) {
    const [x0, y0, x1, y1] = item.box, role = item.group.role;
    const text = role === 'truth' ? classOf(item) + changeOf(item) : `${classOf(item)} ${Math.round(100 * item.score)}`;
    const narrow = (x1 - x0) * laid.width * size.width < NARROW;
    const left = [x0, y0, narrow && panes().length === 1 ? -17 : -5, 'start'];
    const spot = role === 'truth' ? [x0, y1, 13, 'start'] : role === 'teacher' ? [x1, y0, -5, 'end'] : item.side === 'other' ? [x1, y1, 13, 'end'] : left;
    return draw('text', {class: `dd-name ${role}`, x: percent(across(spot[0], pane)), y: percent(spot[1]), dy: spot[2], 'text-anchor': spot[3]}, text);
  }

  // What the first student finds and the second does not, or the other way round.
  function changeOf(item) {
    const change = scene.changes && scene.changes[item.index];
    return change === 'gained' || change === 'lost' ? ` · ${change}` : '';
  }

  function paint() {
    if (!scene) return;
    size = {width: overlay.clientWidth, height: overlay.clientHeight};
    if (!now || now.layer !== layer()) now = layerOf(scene, layer());
    const mine = chosen();
    seen = visible(now, look, mine);
    const apart = mine ? seen.items.filter(i => i === mine || seen.near.has(i)) : [];
    paintMany(mine ? seen.items.filter(i => i !== mine && !seen.near.has(i)) : seen.items, seen.pairs.filter(p => !p.ends), Boolean(mine));
    const boxes = apart.sort((a, b) => (a === mine) - (b === mine) || area(b.box) - area(a.box)).flatMap(i => panesOf(i).map(pane => paintBox(i, pane)));
    const named = mine ? apart : look.names && seen.items.length <= LABELLED ? seen.items : [];
    overlay.replaceChildren(...boxes, ...paintReading(mine), ...paintTrail(mine), ...seen.pairs.filter(p => p.ends).map(paintLine), ...paintNames(named));
    report(seen.items.length);
  }

  function report(count) {
    const depth = scene.groups.find(g => g.of && g.id === 'teacher');
    host.querySelector('.dd-layer output').textContent = `${layer() + 1} of ${scene.layers}` + (depth ? ` (teacher ${depth.of[layer()]})` : '');
    host.querySelector('.dd-layer input').value = layer() + 1;
    for (const node of host.querySelectorAll('[data-count]')) node.textContent = countOf(node.dataset.count);
    Object.assign(host.dataset, {key: scene.key, layer: layer(), boxes: count});
  }

  function countOf(name) {
    const line = now.lines.find(l => l.line.id === name);
    if (line) return line.pairs.length;
    return now.sides[name] ? now.sides[name].filter(i => i.score >= look.floor).length : '';
  }

  // Choosing -------------------------------------------------------------------------------------------------------

  function choose(item) {
    app.state.set(item ? {side: item.side, index: item.index} : {side: '', index: 0});
    parts.live.textContent = chosen() ? describe(chosen()) : 'nothing chosen';
  }

  // Asks where the chosen query reads, if that is to be seen.
  async function read() {
    const item = chosen();
    if (!look.reads || !item || item.side === 'truth' || scene.partial) return say('');
    const of = nameOf(item), {run, compare} = state();
    if (reading?.of === of) return say(reading.says);
    try {
      const found = await asked({key: scene.key, layer: layer(), side: item.side, index: item.index, run, compare});
      if (!found || !look.reads || !chosen() || nameOf(chosen()) !== of) return;
      reading = {of, ...found};
      paint();
      say(found.says);
    } catch (error) { app.say(error.message); }
  }

  function say(text) {
    parts.reads.textContent = text;
    parts.reads.hidden = !text;
  }

  function setReads(on) {
    look.reads = on;
    if (!on) reading = null;
    paint();
    read();
  }

  function setLayer(to) {
    app.state.set({layer: Math.max(0, Math.min(scene.layers - 1, to))});
  }

  // The boxes under a point, the smallest first.
  function under(event) {
    if (!seen) return [];
    const rim = overlay.getBoundingClientRect();
    const [x, y] = [(event.clientX - rim.left) / rim.width, (event.clientY - rim.top) / rim.height];
    const pane = Math.min(panes().length - 1, Math.floor(x / (laid.width + GAP))), spot = (x - pane * (laid.width + GAP)) / laid.width;
    const inside = ({box: [x0, y0, x1, y1]}) => x0 <= spot && spot <= x1 && y0 <= y && y <= y1;
    return seen.items.filter(i => panesOf(i).includes(pane) && inside(i)).sort((a, b) => area(a.box) - area(b.box));
  }

  // The smallest box under the mouse; a second click at one place takes the next larger one.
  function click(event) {
    const hits = under(event);
    choose(hits[(hits.indexOf(chosen()) + 1) % Math.max(1, hits.length)] || null);
  }

  let moved = 0;
  function hover(event) {
    cancelAnimationFrame(moved);
    moved = requestAnimationFrame(() => {
      const [item] = under(event), frame = parts.frame.getBoundingClientRect();
      leave();
      if (!item) return;
      for (const pane of panesOf(item)) { const node = paintBox(item, pane); node.classList.add('over'); overlay.append(node); }
      parts.tip.hidden = false;
      parts.tip.textContent = describe(item);
      parts.tip.style.left = `${event.clientX - frame.left}px`;
      parts.tip.style.top = `${event.clientY - frame.top}px`;
    });
  }

  function leave() {
    parts.tip.hidden = true;
    for (const node of overlay.querySelectorAll('.dd-box.over')) node.remove();
  }

  function press(event) {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (!scene || event.ctrlKey || event.metaKey || event.altKey) return;
    if (step) walk(step);
    else if (event.key === 'Escape') choose(null);
    else if (event.key === 'PageDown') setLayer(layer() + 1);
    else if (event.key === 'PageUp') setLayer(layer() - 1);
    else return;
    event.preventDefault();
  }

  // Through the visible boxes, group after group, the surest first.
  function walk(step) {
    const sides = scene.groups.map(g => g.id);
    const items = [...seen.items].sort((a, b) => sides.indexOf(a.side) - sides.indexOf(b.side) || b.score - a.score || a.index - b.index);
    if (!items.length) return;
    const at = items.indexOf(chosen());
    choose(items[at < 0 ? (step > 0 ? 0 : items.length - 1) : (at + step + items.length) % items.length]);
  }

  function play() {
    if (playing) return stop();
    const step = () => setLayer((layer() + 1) % scene.layers);
    playing = setInterval(step, PLAY);
    host.querySelector('.dd-play').setAttribute('aria-pressed', 'true');
    step();
  }

  function stop() {
    clearInterval(playing);
    playing = 0;
    host.querySelector('.dd-play')?.setAttribute('aria-pressed', 'false');
  }

  // Controls -------------------------------------------------------------------------------------------------------

  function toggle(name, on) {
    if (on) look.hidden.delete(name); else look.hidden.add(name);
    paint();
  }

  function change(what) {
    Object.assign(look, what);
    if ('apart' in what) furnishPanes();
    paint();
  }

  function legend() {
    const swatch = g => make('i', {class: `swatch ${g.role}${g.extra ? ' extra' : ''}${g.id === 'teacher' ? ' dashed' : ''}`});
    const boxes = scene.groups.map(g => check(g.title, shown(g.id), on => toggle(g.id, on), {says: g.says, id: g.id, mark: swatch(g), count: g.id}));
    const line = l => check(l.title, shown(l.id), on => toggle(l.id, on), {says: l.says, id: l.id, mark: make('i', {class: `stroke ${l.look}`}), count: l.id});
    const rows = [['To truth', scene.lines.filter(l => l.to === 'truth')], ['To teacher', scene.lines.filter(l => l.to !== 'truth')]].filter(([, lines]) => lines.length);
    const ways = [{id: 'one', title: 'One image', says: 'All boxes on one image'}, {id: 'apart', title: 'Side by side', says: 'An image for each network'}];
    const reads = check('Where it reads', look.reads, setReads, {id: 'reads', says: 'Where the chosen query reads the image in this layer: its sampling points, or its attention; larger is weightier'});
    const several = scene.groups.filter(g => g.id !== 'truth' && !g.extra).length > 1;
    const names = check('Names', look.names, on => change({names: on}), {id: 'names', says: 'Class and score beside each box, where there is room'});
    const ramp = make('span', {class: 'dd-ramp', title: 'The colour of a line: from the cheapest to the dearest pair of its kind'}, 'cheap', make('i'), 'dear');
    parts.legend.replaceChildren(
      make('div', {class: 'row', role: 'group', 'aria-label': 'Boxes'}, make('span', {class: 'head'}, 'Boxes'), boxes),
      ...rows.map(([head, lines], k) => make('div', {class: 'row', role: 'group', 'aria-label': `Lines between matched pairs: ${head}`}, make('span', {class: 'head', title: 'Lines between matched pairs'}, head), lines.map(line), k === rows.length - 1 && ramp)));
    host.querySelector('.dd-ways').replaceChildren(names, reads, several ? segments('Layout', ways, look.apart ? 'apart' : 'one', way => change({apart: way === 'apart'})) : '');
  }

  function controls() {
    const slider = make('input', {type: 'range', min: 1, max: 1, step: 1, 'aria-label': 'Decoder layer', oninput: e => { stop(); setLayer(Number(e.target.value) - 1); }});
    const floor = make('input', {type: 'range', min: 0, max: 1, step: 0.01, 'aria-label': 'Least score of a box', oninput: e => { look.floor = Number(e.target.value); floorSaid.textContent = look.floor.toFixed(2); paint(); }});
    const floorSaid = make('output', null, look.floor.toFixed(2));
    const button = make('button', {type: 'button', class: 'dd-play', 'aria-label': 'Play the layers', 'aria-pressed': 'false', title: 'Play the layers', onclick: play});
    const tops = [0, 1, 5, 10, 20, 50].map(n => ({id: String(n), title: n ? `best ${n}` : 'all'}));
    floor.value = look.floor;
    return make('div', {class: 'dd-controls'},
      make('div', {class: 'dd-layer', title: 'Each decoder layer refines the boxes of the one before; each is matched anew'}, make('span', null, 'Decoder layer'), button, slider, make('output')),
      make('div', {class: 'dd-few'},
        make('label', {class: 'dd-floor', title: 'Boxes that score less are drawn only where a line ends; at 0 all queries are shown'}, make('span', null, 'Score from'), floor, floorSaid),
        choice('Queries', tops, String(look.top), value => change({top: Number(value)}), {says: 'Only the surest of each network'}),
        make('span', {class: 'dd-classes'}), make('span', {class: 'dd-ways'})));
  }

  function furnishPanes() {
    lay();
    const names = panes(), titles = names.length > 1 ? names.map(side => group(side).title) : [''];
    parts.frame.className = `dd-frame panes-${names.length}`;
    parts.frame.style.setProperty('--w', picture.width * names.length / (1 - (names.length - 1) * GAP));
    parts.frame.style.setProperty('--h', picture.height);
    const faces = names.map((name, k) => make('div', {class: 'dd-pane'},
      make('img', {src: picture.image, alt: picture.name, draggable: 'false', class: picture.width < 240 ? 'coarse' : ''}), make('canvas', {class: 'dd-heat', hidden: true}), titles[k] && make('b', null, titles[k])));
    parts.frame.replaceChildren(...faces, many, overlay, parts.tip);
    showHeat();
  }

  // A map over the image, under the boxes, by whoever can paint it on a canvas; side by side it is over one network's.
  function setHeat(painter, side) {
    const changed = Boolean(heat) !== Boolean(painter);
    heat = painter && {painter, side};
    showHeat();
    if (changed) paint();
  }

  function showHeat() {
    host.classList.toggle('heated', Boolean(heat));
    parts.frame.querySelectorAll('.dd-pane').forEach((pane, k) => {
      const mine = heat && (panes().length === 1 || paneOf(heat.side) === k), canvas = pane.querySelector('.dd-heat');
      canvas.hidden = !mine;
      pane.classList.toggle('hot', Boolean(mine));
      if (mine) heat.painter(canvas);
    });
  }

  // What is shown --------------------------------------------------------------------------------------------------

  // The picture at once, with the truth: no network has run yet.
  function showImage(next) {
    stop();
    picture = next;
    setScene({key: next.key, layers: 1, groups: [next.truth], lines: [], notes: [], banner: '', partial: true});
  }

  function showBoxes(groups) {
    const layers = Math.max(...groups.map(g => g.layers.length));
    setScene({...scene, layers, groups: [...groups, picture.truth], lines: [], partial: true});
  }

  function showScene(next) {
    setScene(next);
    host.dataset.whole = next.key;
    read();
  }

  function setScene(next) {
    const fresh = [...next.groups, ...next.lines].filter(x => x.on === false && !look.known?.has(x.id));
    for (const x of fresh) look.hidden.add(x.id);
    look.known = new Set([...(look.known || []), ...next.groups.map(g => g.id), ...next.lines.map(l => l.id)]);
    [scene, now, seen] = [next, null, null];
    delete host.dataset.whole;
    legend();
    furnishPanes();
    host.querySelector('.dd-layer input').max = scene.layers;
    host.querySelector('.dd-layer').hidden = scene.layers < 2;
    const all = [{id: '', title: 'all'}, ...picture.classes.map(c => ({id: c, title: c}))];
    if (!picture.classes.includes(look.category)) Object.assign(look, {category: '', label: null});
    host.querySelector('.dd-classes').replaceChildren(choice('Class', all, look.category, value => change({category: value, label: value ? picture.classes.indexOf(value) : null})));
    parts.banner.replaceChildren(scene.banner || '', scene.truth === 'pseudo' ? sureness() : '');
    parts.banner.hidden = !scene.banner;
    parts.notes.replaceChildren(...(scene.notes || []).map(note => make('p', {class: 'dd-note'}, note)));
    paint();
  }

  // Of an image without truth: from which score a teacher query stands in for it.
  function sureness() {
    const [kind, digest, score] = scene.key.split('/');
    const slider = make('input', {type: 'range', min: 0, max: 1, step: 0.05, 'aria-label': 'Pseudo truth from score', onchange: e => app.state.set({image: `${kind}/${digest}/${Number(e.target.value).toFixed(2)}`, side: '', index: 0})});
    slider.value = score;
    return slider;
  }

  function wait(text) {
    parts.wait.textContent = text;
    host.classList.toggle('waiting', Boolean(text));
  }

  new ResizeObserver(() => (overlay.clientWidth !== size.width || overlay.clientHeight !== size.height) && paint()).observe(overlay);
  overlay.addEventListener('click', click);
  overlay.addEventListener('mousemove', hover);
  overlay.addEventListener('mouseleave', () => { cancelAnimationFrame(moved); leave(); });
  overlay.addEventListener('keydown', press);
  host.replaceChildren(parts.legend, make('div', {class: 'dd-board'}, parts.frame, parts.wait, parts.banner), controls(), parts.reads, parts.notes, parts.live);
  app.state.watch((_, changed) => { if (scene && ['layer', 'side', 'index'].some(key => changed.has(key))) { paint(); read(); } });
  return {showImage, showBoxes, showScene, setHeat, wait, look, paint, layer, choose, chosen, setLayer, scene: () => scene, picture: () => picture, everything: () => change({floor: 0})};
}
