// The image under its boxes, which every view of one image shares. A scene holds all layers, so the slider needs no server.
const LABELLED = 40; // more boxes than this, and names would hide the picture
const HALO = 0.2; // the score from which a box has a dark edge around its own: hundreds of them would cost time
const NARROW = 120; // pixels of a box over which two names do not fit side by side
const GAP = 0.02; // between panes, of the width of all
const PLAY = 700; // milliseconds of a layer while it plays

function stage(host, app) {
  const look = {hidden: new Set(), floor: 0.3, top: 0, category: '', names: true, apart: false};
  const overlay = draw('svg', {class: 'dd-overlay', tabindex: 0, role: 'application', 'aria-label': 'Boxes over the image. Arrow keys go from box to box, Page up and Page down from layer to layer, Escape lets go.'});
  const parts = {legend: make('div', {class: 'dd-legend'}), frame: make('div', {class: 'dd-frame'}), banner: make('p', {class: 'dd-banner', hidden: true}), wait: make('div', {class: 'dd-wait', 'aria-live': 'polite'}), notes: make('div', {class: 'dd-notes'}), live: make('p', {class: 'dd-live', 'aria-live': 'polite'}), tip: make('span', {class: 'dd-tip', hidden: true})};
  const drawn = new Map(); // elements of boxes, kept from layer to layer
  let picture = null, scene = null, heat = null, playing = 0;

  const state = () => app.state.get();
  const layer = () => scene ? Math.min(state().layer ?? scene.layers - 1, scene.layers - 1) : 0;
  const chosen = () => scene && state().side && group(state().side) && state().index < frameOf(state().side).boxes.length ? {side: state().side, index: state().index} : null;
  const same = (a, b) => Boolean(a && b && a.side === b.side && a.index === b.index);
  const id = item => `${item.side}/${item.index}`;
  const group = side => scene.groups.find(g => g.id === side);
  const frameOf = side => { const layers = group(side).layers; return layers[Math.min(layer(), layers.length - 1)]; };
  const boxOf = item => frameOf(item.side).boxes[item.index];
  const scoreOf = item => { const scores = frameOf(item.side).scores; return scores ? scores[item.index] : 1; };
  const classOf = item => picture.classes[frameOf(item.side).labels[item.index]];
  const center = box => [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  const area = box => Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]);
  const shown = name => !look.hidden.has(name);
  const nameOf = item => `${group(item.side).one} ${item.index}`;
  const describe = item => `${nameOf(item)}: ${classOf(item)}${frameOf(item.side).scores ? ' ' + scoreOf(item).toFixed(2) : ''}`;

  // Panes: one, or one for each network side by side, each with the truth.
  let laid = {names: ['all'], width: 1};
  function lay() {
    const sides = scene.groups.filter(g => g.id !== 'truth' && !g.extra).map(g => g.id);
    const names = look.apart && sides.length > 1 ? sides : ['all'];
    laid = {names, width: (1 - (names.length - 1) * GAP) / names.length};
  }
  const panes = () => laid.names;
  const paneOf = side => Math.max(0, laid.names.indexOf(side === 'teacher' || side === 'other' ? side : 'student'));
  const across = (x, pane) => pane * (laid.width + GAP) + x * laid.width;

  // Which boxes ----------------------------------------------------------------------------------------------------

  function pairs() {
    const found = [], now = chosen();
    for (const line of scene.lines) {
      for (const [from, to, cost] of line.layers[Math.min(layer(), line.layers.length - 1)]) {
        const pair = {line, cost, from: {side: line.from, index: from}, to: {side: line.to, index: to}};
        const ends = same(pair.from, now) || same(pair.to, now);
        if (ends || (shown(line.id) && wanted(pair.from) && wanted(pair.to))) found.push({...pair, ends});
      }
    }
    return found;
  }

  const wanted = item => !look.category || classOf(item) === look.category;

  function visible(links) {
    const found = new Map(), add = item => found.set(id(item), item);
    for (const g of scene.groups.filter(g => shown(g.id))) {
      const scores = frameOf(g.id).scores;
      const least = look.top && scores ? Math.max(look.floor, [...scores].sort((a, b) => b - a)[Math.min(look.top, scores.length) - 1]) : look.floor;
      frameOf(g.id).boxes.forEach((_, index) => { const item = {side: g.id, index}; if (scoreOf(item) >= least && wanted(item)) add(item); });
    }
    for (const {from, to, ends} of links) for (const end of [from, to]) if (ends || shown(end.side)) add(end);
    if (chosen()) add(chosen());
    return [...found.values()].sort((a, b) => area(boxOf(b)) - area(boxOf(a)));
  }

  // Drawing --------------------------------------------------------------------------------------------------------

  function paintBox(item, pane, near) {
    const key = `${id(item)}@${pane}`;
    let node = drawn.get(key);
    if (!node) {
      node = draw('g', {'data-side': item.side, 'data-index': item.index, 'data-pane': pane}, draw('rect', {class: 'halo'}), draw('rect', {class: 'edge'}));
      drawn.set(key, node);
    }
    const [x0, y0, x1, y1] = boxOf(item), score = scoreOf(item), mine = same(item, chosen());
    const classes = `dd-box ${group(item.side).role}${group(item.side).extra ? ' extra' : ''}${mine ? ' chosen' : chosen() && !near.has(id(item)) ? ' dim' : ''}${score >= HALO || mine ? '' : ' faint'}`;
    const place = {x: percent(across(x0, pane)), y: percent(y0), width: percent(Math.max(0, x1 - x0) * laid.width), height: percent(Math.max(0, y1 - y0))};
    if (node.getAttribute('class') !== classes) node.setAttribute('class', classes);
    node.style.setProperty('--score', score);
    for (const rect of node.children) for (const name in place) rect.setAttribute(name, place[name]);
    return node;
  }

  // Names that fit: the surest first, none over another.
  function paintNames(spots) {
    const taken = [], found = [], size = overlay.getBoundingClientRect();
    const order = ([item]) => (same(item, chosen()) ? 3 : item.side === 'truth' ? 2 : 0) + scoreOf(item);
    for (const [item, pane] of spots.sort((a, b) => order(b) - order(a))) {
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
    const [x0, y0, x1, y1] = boxOf(item), role = group(item.side).role;
    const text = role === 'truth' ? classOf(item) + changeOf(item) : `${classOf(item)} ${Math.round(100 * scoreOf(item))}`;
    const narrow = (x1 - x0) * laid.width * overlay.clientWidth < NARROW;
    const left = [x0, y0, narrow && panes().length === 1 ? -17 : -5, 'start'];
    const spot = role === 'truth' ? [x0, y1, 13, 'start'] : role === 'teacher' ? [x1, y0, -5, 'end'] : item.side === 'other' ? [x1, y1, 13, 'end'] : left;
    return draw('text', {class: `dd-name ${role}`, x: percent(across(spot[0], pane)), y: percent(spot[1]), dy: spot[2], 'text-anchor': spot[3]}, text);
  }

  // What the first student finds and the second does not, or the other way round.
  function changeOf(item) {
    const change = scene.changes && scene.changes[item.index];
    return change === 'gained' || change === 'lost' ? ` · ${change}` : '';
  }

  function paintLine({line, cost, from, to, ends}) {
    const [a, b] = [center(boxOf(from)), center(boxOf(to))];
    const [p, q] = [paneOf(from.side), to.side === 'truth' ? paneOf(from.side) : paneOf(to.side)];
    const place = {x1: percent(across(a[0], p)), y1: percent(a[1]), x2: percent(across(b[0], q)), y2: percent(b[1])};
    const dot = (x, y, side) => draw('circle', {class: group(side).role, cx: x, cy: y, r: 3.5});
    const shade = cost === null ? 0.5 : dearness(line, cost);
    const label = ends && cost !== null && draw('text', {class: 'dd-cost', x: percent((across(a[0], p) + across(b[0], q)) / 2), y: percent((a[1] + b[1]) / 2), dy: -5}, short(cost));
    return draw('g', {class: `dd-line ${line.look}${chosen() && !ends ? ' dim' : ''}${shade > 0.6 ? ' dear' : ''}`, 'data-line': line.id, 'data-from': from.index, 'data-to': to.index, 'data-cost': cost, style: `--dear:${shade.toFixed(2)}`},
      draw('line', {...place, class: 'halo'}), draw('line', {...place, class: 'edge'}), dot(place.x1, place.y1, from.side), dot(place.x2, place.y2, to.side), label);
  }

  // Where a cost lies between the cheapest and the dearest of its kind, over all layers.
  function dearness(line, cost) {
    if (!line.range) {
      const all = line.layers.flat().map(pair => pair[2]).filter(c => c !== null).sort((a, b) => a - b);
      line.range = [all[Math.floor(0.02 * (all.length - 1))], all[Math.ceil(0.98 * (all.length - 1))]];
    }
    const [low, high] = line.range;
    return high > low ? Math.max(0, Math.min(1, (cost - low) / (high - low))) : 0;
  }

  // Where the chosen query was in each layer.
  function paintTrail() {
    const now = chosen();
    if (!now || now.side === 'truth') return [];
    const pane = paneOf(now.side), path = group(now.side).layers.map(l => center(l.boxes[now.index]));
    const at = p => [percent(across(p[0], pane)), percent(p[1])];
    const legs = path.slice(1).map((p, i) => draw('line', {class: 'dd-trail', x1: at(path[i])[0], y1: at(path[i])[1], x2: at(p)[0], y2: at(p)[1]}));
    const stops = path.map((p, i) => draw('circle', {class: `dd-stop${i === layer() ? ' here' : ''} ${group(now.side).role}`, cx: at(p)[0], cy: at(p)[1], r: i === layer() ? 4 : 2.5}));
    return path.length > 1 ? [...legs, ...stops] : [];
  }

  function paint() {
    if (!scene) return;
    const links = pairs(), items = visible(links);
    const near = new Set(links.filter(l => l.ends).flatMap(l => [id(l.from), id(l.to)]));
    const spots = items.flatMap(item => item.side === 'truth' ? panes().map((_, pane) => [item, pane]) : [[item, paneOf(item.side)]]);
    const now = chosen(), related = item => same(item, now) || near.has(id(item));
    const boxes = spots.map(([item, pane]) => paintBox(item, pane, near));
    if (now) boxes.sort((a, b) => a.classList.contains('chosen') - b.classList.contains('chosen'));
    const named = spots.filter(([item]) => now ? related(item) : look.names && items.length <= LABELLED);
    overlay.replaceChildren(...boxes, ...paintTrail(), ...links.map(paintLine), ...paintNames(named));
    report(items.length);
  }

  function report(count) {
    const depth = scene.groups.find(g => g.of && g.id === 'teacher');
    host.querySelector('.dd-layer output').textContent = `${layer() + 1} of ${scene.layers}` + (depth ? ` (teacher ${depth.of[layer()]})` : '');
    host.querySelector('.dd-layer input').value = layer() + 1;
    for (const node of host.querySelectorAll('[data-count]')) node.textContent = countOf(node.dataset.count);
    Object.assign(host.dataset, {key: scene.key, layer: layer(), boxes: count});
  }

  function countOf(name) {
    const line = scene.lines.find(l => l.id === name);
    if (line) return line.layers[Math.min(layer(), line.layers.length - 1)].length;
    return group(name) ? frameOf(name).boxes.filter((_, index) => scoreOf({side: name, index}) >= look.floor).length : '';
  }

  // Choosing -------------------------------------------------------------------------------------------------------

  function choose(item) {
    app.state.set(item ? {side: item.side, index: item.index} : {side: '', index: 0});
    parts.live.textContent = item ? describe(item) : 'nothing chosen';
  }

  function setLayer(to) {
    app.state.set({layer: Math.max(0, Math.min(scene.layers - 1, to))});
  }

  // The boxes under a point, the smallest first.
  function under(event) {
    if (!scene) return [];
    const area_ = overlay.getBoundingClientRect();
    const [x, y] = [(event.clientX - area_.left) / area_.width, (event.clientY - area_.top) / area_.height];
    const pane = Math.min(panes().length - 1, Math.floor(x / (laid.width + GAP))), at = (x - pane * (laid.width + GAP)) / laid.width;
    const inside = item => { const [x0, y0, x1, y1] = boxOf(item); return x0 <= at && at <= x1 && y0 <= y && y <= y1; };
    return visible(pairs()).filter(item => (item.side === 'truth' || paneOf(item.side) === pane) && inside(item)).reverse();
  }

  // The smallest box under the mouse; a second click at one place takes the next larger one.
  function click(event) {
    const hits = under(event);
    choose(hits[(hits.findIndex(h => same(h, chosen())) + 1) % Math.max(1, hits.length)] || null);
  }

  let moved = 0;
  function hover(event) {
    cancelAnimationFrame(moved);
    moved = requestAnimationFrame(() => {
      const [item] = under(event), frame = parts.frame.getBoundingClientRect();
      for (const node of overlay.querySelectorAll('.dd-box.over')) node.classList.remove('over');
      parts.tip.hidden = !item;
      if (!item) return;
      for (const node of overlay.querySelectorAll(`.dd-box[data-side="${item.side}"][data-index="${item.index}"]`)) node.classList.add('over');
      parts.tip.textContent = describe(item);
      parts.tip.style.left = `${event.clientX - frame.left}px`;
      parts.tip.style.top = `${event.clientY - frame.top}px`;
    });
  }

  function leave() {
    cancelAnimationFrame(moved);
    parts.tip.hidden = true;
    for (const node of overlay.querySelectorAll('.dd-box.over')) node.classList.remove('over');
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
    const items = visible(pairs()).sort((a, b) => sides.indexOf(a.side) - sides.indexOf(b.side) || scoreOf(b) - scoreOf(a) || a.index - b.index);
    if (!items.length) return;
    const at = items.findIndex(i => same(i, chosen()));
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
    const several = scene.groups.filter(g => g.id !== 'truth' && !g.extra).length > 1;
    const names = check('Names', look.names, on => change({names: on}), {id: 'names', says: 'Class and score beside each box, where there is room'});
    const ramp = make('span', {class: 'dd-ramp', title: 'The colour of a line: from the cheapest to the dearest pair of its kind'}, 'cheap', make('i'), 'dear');
    parts.legend.replaceChildren(
      make('div', {class: 'row', role: 'group', 'aria-label': 'Boxes'}, make('span', {class: 'head'}, 'Boxes'), boxes),
      rows.length ? make('div', {class: 'row', role: 'group', 'aria-label': 'Lines between matched pairs'}, rows.map(([head, lines]) => make('span', {class: 'group'}, make('span', {class: 'head', title: 'Lines between matched pairs'}, head), lines.map(line))), ramp) : '');
    host.querySelector('.dd-ways').replaceChildren(names, several ? segments('Layout', ways, look.apart ? 'apart' : 'one', way => change({apart: way === 'apart'})) : '');
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
    parts.frame.replaceChildren(...faces, overlay, parts.tip);
    showHeat();
  }

  // A map over the image, under the boxes, by whoever can paint it on a canvas; side by side it is over one network's.
  function setHeat(painter, side) {
    heat = painter && {painter, side};
    showHeat();
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
  }

  function setScene(next) {
    const fresh = [...next.groups, ...next.lines].filter(x => x.on === false && !look.known?.has(x.id));
    for (const x of fresh) look.hidden.add(x.id);
    look.known = new Set([...(look.known || []), ...next.groups.map(g => g.id), ...next.lines.map(l => l.id)]);
    scene = next;
    delete host.dataset.whole;
    drawn.clear();
    legend();
    furnishPanes();
    host.querySelector('.dd-layer input').max = scene.layers;
    host.querySelector('.dd-layer').hidden = scene.layers < 2;
    const all = [{id: '', title: 'all'}, ...picture.classes.map(c => ({id: c, title: c}))];
    if (!picture.classes.includes(look.category)) look.category = '';
    host.querySelector('.dd-classes').replaceChildren(choice('Class', all, look.category, value => change({category: value})));
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

  overlay.addEventListener('click', click);
  overlay.addEventListener('mousemove', hover);
  overlay.addEventListener('mouseleave', leave);
  overlay.addEventListener('keydown', press);
  host.replaceChildren(parts.legend, make('div', {class: 'dd-board'}, parts.frame, parts.wait, parts.banner), controls(), parts.notes, parts.live);
  app.state.watch((_, changed) => { if (scene && ['layer', 'side', 'index'].some(key => changed.has(key))) paint(); });
  return {showImage, showBoxes, showScene, setHeat, wait, look, paint, layer, choose, chosen, setLayer, scene: () => scene, picture: () => picture, everything: () => change({floor: 0})};
}
