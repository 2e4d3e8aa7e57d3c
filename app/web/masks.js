// View 2: where the teacher's queries look, the best first, and how quality makes them count.
function masksView(app) {
  const side = make('div', {class: 'dd-masks'}), wide = make('div', {class: 'dd-masks-wide'});
  const look = {level: null, stage: -1, over: 'query', strength: 0.85, pinned: []};
  const overview = latest('masks'), gamma = latest('weighed'), masks = latest('mask');
  const rows = new Map(), cached = new Map(); // table rows by query; masks by level, stage and query
  let view = null, shownFor = '';

  const value = () => app.state.get().gamma ?? app.about()?.gamma ?? 0.5;
  const chosen = () => { const {side, index} = app.state.get(); return side === 'teacher' && view && index < view.queries.length ? index : null; };
  const where = () => { const {run} = app.state.get(); return {key: app.stage.scene().key, run, level: look.level ?? 0, stage: look.stage}; };
  const named = () => JSON.stringify(where());

  async function load(changed) {
    const scene = app.stage.scene(), about = app.about();
    if (!scene || scene.partial || !about) return;
    if (!about.teacher) return none('This run has no teacher: it learnt from the truth alone, so no teacher query looks at anything.');
    if (look.level === null || look.level >= about.strides.length) look.level = Math.min(1, about.strides.length - 1);
    try {
      if (view && shownFor === named()) return await follow(changed);
      const asked = named(), found = await overview({...where(), gamma: value()});
      if (!found || asked !== named()) return;
      [view, shownFor] = [found, asked];
      cached.clear();
      build();
    } catch (error) { none(error.message); }
  }

  // Only gamma or the selection is another.
  async function follow(changed) {
    if (!changed || changed.has('gamma')) {
      const found = await gamma({...where(), gamma: value()});
      if (!found || !view) return;
      found.quality.forEach((q, k) => Object.assign(view.queries[k], {quality: q, counts: found.counts[k]}));
      Object.assign(view, {gamma: found.gamma, correlation: found.correlation});
      view.weights.find(w => w.id === 'each').heat = found.heat;
      rank();
      weights();
    }
    mark();
  }

  function none(text) {
    view = null;
    side.replaceChildren(make('section', {class: 'dd-card'}, make('p', null, text)));
    wide.replaceChildren();
    app.stage.setHeat(null);
  }

  // Controls and lists ---------------------------------------------------------------------------------------------

  const card = (name, ...children) => make('section', {class: `dd-card dd-${name}`}, ...children);
  const table = make('tbody'), figure = make('div', {class: 'dd-scatter'}), tiles = make('div', {class: 'dd-tiles four'}), six = make('div', {class: 'dd-tiles six'}), said = make('output');
  const slider = make('input', {type: 'range', min: 0, max: 1, step: 0.01, 'aria-label': 'Gamma', oninput: e => { said.textContent = Number(e.target.value).toFixed(2); app.state.set({gamma: Number(e.target.value)}); }});

  function build() {
    const about = app.about();
    const levels = about.strides.map((s, k) => ({id: String(k), title: `stride ${s}`}));
    const stages = Array.from({length: about.teacher.layers}, (_, k) => ({id: String(k), title: `layer ${k + 1}`}));
    const overs = [{id: 'query', title: 'Selected query', says: 'The mask of the teacher query that is selected'}, {id: 'each', title: 'By quality', says: 'All masks, each by its quality: the weight of the loss'}, {id: 'none', title: 'Nothing', says: 'The image alone'}];
    const strength = make('input', {type: 'range', min: 0.2, max: 1, step: 0.05, 'aria-label': 'Strength of the mask', oninput: e => { look.strength = Number(e.target.value); mark(); }});
    strength.value = look.strength;
    slider.value = value();
    said.textContent = value().toFixed(2);
    const head = [['#', ''], ['Query', 'A teacher query; click it to see its mask'], ['Class', 'Its best class'], ['c', 'Score of its best class'], ['IoU', 'Best overlap with an object'], ['q', 'Quality: c to the power of gamma, times IoU to the power of 1 − gamma'], ['inside', 'Share of its mask that lies in true boxes']];
    side.replaceChildren(
      card('look', make('div', {class: 'dd-few'}, choice('Features', levels, String(look.level), v => { look.level = Number(v); load(); }, {says: 'The level of the feature pyramid, by its stride in pixels'}), choice('Queries of', stages, String(look.stage < 0 ? about.teacher.layers - 1 : look.stage), v => { look.stage = Number(v); load(); }, {says: 'The layer of the teacher’s decoder whose queries look'}), segments('Over the image', overs, look.over, v => { look.over = v; mark(); }), strength)),
      card('quality', heading('Teacher queries by quality', 'How much a query’s mask counts: sure and well placed queries more. In the loss IoU is that with the query’s own object, and 0 without one.', 'q = c^γ · IoU^(1 − γ),  Eq. 8'),
        make('label', {class: 'dd-gamma'}, make('span', null, 'γ'), make('small', null, 'IoU'), slider, make('small', null, 'score'), said),
        make('div', {class: 'dd-ranks'}, make('table', {class: 'dd-table'}, make('thead', null, make('tr', null, head.map(([t, s]) => make('th', {scope: 'col', title: s}, t)))), table))),
      card('scatter', heading('Do good queries look at objects?', 'The claim of the paper’s Figure 4: the higher a query’s quality, the more of its mask lies inside true boxes. Dashed: what a mask that is the same everywhere has.'), figure));
    wide.replaceChildren(
      card('weights', heading('Where the student is to be like the teacher', 'The weight of each place in the feature loss: three ways to combine the masks, and the loss itself on this image.'), tiles),
      card('six', heading('Six panels, as Figure 4', 'The image, the best queries of two objects, one that looks at both, and two of low quality. Pin the selected query to choose for yourself.'), six, make('div', {class: 'dd-few dd-actions'}, make('button', {type: 'button', class: 'dd-button', onclick: pin}, 'Pin the selected query'), make('button', {type: 'button', class: 'dd-button', onclick: () => { look.pinned = []; panels(); }}, 'Choose by rule'), make('span', {class: 'grow'}), make('span', {class: 'dd-faint'}, 'As the paper’s figure'), ['pdf', 'svg', 'png', 'csv'].map(form => make('button', {type: 'button', class: 'dd-button', 'data-form': form, onclick: () => paper(form)}, form.toUpperCase())))));
    rows.clear();
    table.replaceChildren();
    rank();
    weights();
    panels();
    mark();
  }

  function row(q) {
    if (!rows.has(q.index)) {
      const cells = ['', '', '', '', '', '', ''].map(() => make('td'));
      const node = make('tr', {'data-query': q.index, onclick: () => app.stage.choose({side: 'teacher', index: q.index})}, cells);
      cells[1].append(make('button', {type: 'button', class: 'dd-link teacher'}, String(q.index)));
      cells[2].textContent = q.class;
      rows.set(q.index, {node, cells, bar: cells[5].appendChild(make('i', {class: 'bar teacher'})), text: cells[5].appendChild(make('span'))});
    }
    return rows.get(q.index);
  }

  // The best first. A query that answers for an object is marked: it alone counts in the loss.
  function rank() {
    const order = [...view.queries].sort((a, b) => b.quality - a.quality || a.index - b.index);
    const nodes = order.map((q, k) => {
      const {node, cells, bar, text} = row(q);
      cells[0].textContent = k + 1;
      cells[3].textContent = q.score.toFixed(3);
      cells[4].textContent = q.overlap.toFixed(3);
      text.textContent = q.quality.toFixed(3);
      bar.style.width = `${(100 * q.quality).toFixed(1)}%`;
      cells[6].textContent = q.inside === null ? '–' : share(q.inside);
      node.classList.toggle('counts', q.counts > 0);
      node.title = q.counts > 0 ? `counts ${q.counts.toFixed(3)} in the loss: it answers for an object` : 'does not count in the loss: it answers for no object';
      return node;
    });
    table.replaceChildren(...nodes);
    side.dataset.gamma = view.gamma;
  }

  function weights() {
    const picture = app.stage.picture();
    const ways = view.weights.map(w => tile(picture, w.heat, {id: w.id, title: w.title + (w.own ? ' · this run’s' : ''), says: w.says, equation: w.equation}));
    const loss = view.loss ? tile(picture, view.loss, {id: 'loss', title: 'The loss', says: 'Where the feature loss of this run is on this level: the weight times the squared difference of student and teacher.', note: `sums to ${fixed(view.loss.sum, 4)}`}) : make('figure', {class: 'dd-tile'}, make('figcaption', null, make('b', null, 'The loss'), make('small', null, 'This run has no feature loss on this level and layer.')));
    tiles.replaceChildren(...ways, loss);
  }

  // Six panels -----------------------------------------------------------------------------------------------------

  async function heats(queries) {
    const level = named(), missing = [...new Set(queries)].filter(q => !cached.has(`${level}${q}`));
    if (missing.length) (await ask('mask', {...where(), queries: missing})).forEach((heat, k) => cached.set(`${level}${missing[k]}`, heat));
    return queries.map(q => cached.get(`${level}${q}`));
  }

  function pin() {
    const q = chosen();
    if (q === null) return app.say('Select a teacher query first: click one in the list.');
    look.pinned = [...look.pinned.filter(p => p !== q), q].slice(-5);
    panels();
  }

  // Pinned queries take the places of those that the rules chose, from the first.
  function chosenPanels() {
    const letters = 'bcdef', rule = Object.fromEntries(view.panels.map(p => [p.letter, p]));
    look.pinned.forEach((query, k) => { rule[letters[k]] = {letter: letters[k], query, why: 'pinned'}; });
    return Object.values(rule).sort((a, b) => a.letter < b.letter ? -1 : 1);
  }

  async function paper(form) {
    const {key, run, level} = where();
    try { keep(await ask('figure4', {key, run, level, form, queries: look.pinned})); } catch (error) { app.say(error.message); }
  }

  async function panels() {
    const list = chosenPanels(), picture = app.stage.picture(), now = view;
    try {
      const found = await heats(list.map(p => p.query));
      if (view !== now) return;
      six.replaceChildren(tile(picture, null, {id: 'image', title: '(a) the image'}), ...list.map((p, k) => tile(picture, found[k], {id: `panel-${p.query}`, title: `(${p.letter}) query ${p.query}`, note: `${p.why}: ${view.queries[p.query].class}, q ${view.queries[p.query].quality.toFixed(2)}`, chosen: p.query === chosen(), onclick: () => app.stage.choose({side: 'teacher', index: p.query})})));
    } catch (error) { app.say(error.message); }
  }

  // The selection --------------------------------------------------------------------------------------------------

  async function mark() {
    const q = chosen(), now = view;
    for (const [index, {node}] of rows) node.classList.toggle('chosen', index === q);
    reveal(rows.get(q)?.node);
    const points = view.queries.filter(p => p.inside !== null).map(p => ({id: p.index, x: p.quality, y: p.inside, class: p.counts > 0 ? 'counts' : '', title: `query ${p.index} (${p.class}): quality ${p.quality.toFixed(2)}, ${share(p.inside)} inside`}));
    const rho = view.correlation === null ? '' : `Spearman’s rank correlation ${fixed(view.correlation, 2)}`;
    figure.replaceChildren(scatter('Quality against mass inside boxes', points, ['quality q', 'mask inside boxes'], {chosen: q, pick: index => app.stage.choose({side: 'teacher', index}), level: view.area}), make('p', {class: 'dd-faint'}, rho));
    for (const node of six.children) node.classList.toggle('chosen', node.dataset.tile === `panel-${q}`);
    if (look.over === 'none' || (look.over === 'query' && q === null)) return app.stage.setHeat(null);
    try {
      const heat = look.over === 'each' ? view.weights.find(w => w.id === 'each').heat : (await heats([q]))[0];
      if (view === now && chosen() === q && app.current() === 'masks') app.stage.setHeat(canvas => { paintHeat(heat, canvas); canvas.style.opacity = look.strength; }, 'teacher');
    } catch (error) { app.say(error.message); }
  }

  // Within the list alone: the page stays where it is.
  function reveal(node) {
    const list = side.querySelector('.dd-ranks');
    if (!node || !list) return;
    const [a, b] = [node.getBoundingClientRect(), list.getBoundingClientRect()];
    if (a.top < b.top + 24) list.scrollTop -= b.top + 24 - a.top;
    if (a.bottom > b.bottom) list.scrollTop += a.bottom - b.bottom;
  }

  return {id: 'masks', title: 'Query masks', side, wide, needs: ['side', 'index', 'gamma'], load};
}
