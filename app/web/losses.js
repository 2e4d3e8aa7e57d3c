// View 4: each term of the loss on this image: how much, in which layer, at which query or place.
function lossesView(app) {
  const side = make('section', {class: 'dd-card dd-losses'}), detail = make('section', {class: 'dd-card dd-term'}), panel = make('div', {class: 'dd-masks'}, side, detail);
  const doctor = doctorPanel(app);
  const all = latest('losses'), one = latest('term');
  let table = null, shownFor = '', chosen = '', told = null;

  async function load(changed) {
    const scene = app.stage.scene(), {run} = app.state.get();
    if (!scene || scene.partial) return;
    try {
      if (!changed || !table || shownFor !== scene.key + run) {
        const found = await all({key: scene.key, run});
        if (!found || app.stage.scene() !== scene) return;
        [table, shownFor] = [found, scene.key + run];
        const paths = table.losses.flatMap(l => l.terms.map(t => t.id));
        if (!paths.includes(chosen)) chosen = paths[0] || '';
      }
      doctor.show(run);
      show();
      if (!changed || changed.has('layer')) await choose(chosen); else mark();
    } catch (error) { app.say(error.message); }
  }

  const cell = (text, attributes) => make('td', attributes, text);
  const layerOf = term => term.layers.length === 1 ? 0 : Math.min(app.stage.layer(), term.layers.length - 1);

  function row(term, largest) {
    const here = term.layers.length === 1 ? '–' : fixed(term.layers[layerOf(term)] * term.weight);
    const peak = Math.max(1e-12, ...term.layers.map(Math.abs));
    const steps = term.layers.length > 1 && make('span', {class: 'steps', 'aria-hidden': 'true'}, term.layers.map((v, k) => make('i', {class: k === layerOf(term) ? 'here' : '', style: `height:${(100 * Math.abs(v) / peak).toFixed(0)}%`})));
    const bar = make('span', {class: 'track'}, make('i', {class: 'bar', style: `width:${(100 * Math.max(0, term.weighted) / largest).toFixed(1)}%`}));
    return make('tr', {class: term.id === chosen ? 'chosen' : '', 'data-term': term.id, onclick: () => choose(term.id)},
      make('th', {scope: 'row', title: term.says}, make('button', {type: 'button', class: 'dd-plain'}, term.title), bar), make('td', null, steps), make('td', null, fixed(term.sum), make('span', {class: 'times'}, ` × ${term.weight}`)), cell(here), cell(fixed(term.weighted), {class: 'strong'}), cell(share(term.share)));
  }

  function section(loss, largest) {
    const name = make('th', {colspan: 4, scope: 'rowgroup', title: loss.says}, loss.name, make('small', null, loss.says));
    return make('tbody', null, make('tr', {class: 'section'}, name, cell(fixed(loss.weighted), {class: 'strong'}), cell(share(loss.share))), loss.terms.map(term => row(term, largest)));
  }

  function show() {
    const largest = Math.max(1e-9, ...table.losses.flatMap(l => l.terms.map(t => t.weighted)));
    const names = ['Term', 'by layer', 'Sum × weight', `Layer ${app.stage.layer() + 1}`, 'All layers', 'Share'];
    const head = make('thead', null, make('tr', null, names.map(name => make('th', {scope: 'col'}, name))));
    const foot = make('tfoot', null, make('tr', null, make('th', {colspan: 4, scope: 'row'}, 'Total, as training adds it up'), cell(fixed(table.total), {class: 'strong', 'data-total': table.total}), cell('')));
    side.replaceChildren(heading('The loss on this image', table.says, 'L = L_det + λ₁ L_logits + λ₂ L_feat + λ₃ L_assign'), make('div', {class: 'dd-scroll'}, make('table', {class: 'dd-table'}, head, table.losses.map(loss => section(loss, largest)), foot)));
  }

  async function choose(path) {
    chosen = path;
    for (const node of side.querySelectorAll('tr[data-term]')) node.classList.toggle('chosen', node.dataset.term === path);
    const scene = app.stage.scene(), {run} = app.state.get();
    if (!path) return detail.replaceChildren();
    try {
      const found = await one({key: scene.key, run, path, layer: app.stage.layer()});
      if (!found || app.stage.scene() !== scene) return;
      told = found;
      mark();
    } catch (error) { app.say(error.message); }
  }

  // Where the chosen term is: a map over the image, or a bar for each query.
  function mark() {
    if (!told || app.current() !== 'losses') return;
    const term = table.losses.flatMap(l => l.terms).find(t => t.id === told.id);
    if (!term) return;
    const where = told.layers > 1 ? `layer ${told.layer + 1} of ${told.layers}` : 'all layers together';
    detail.dataset.shown = `${told.id} ${told.layer}`;
    const head = make('header', null, heading(`Where ${term.id.replace('/', ': ').replaceAll('_', ' ')} is`, term.says), make('span', null, where));
    if (told.heat) {
      app.stage.setHeat(canvas => paintHeat(told.heat, canvas), 'student');
      return detail.replaceChildren(head, make('p', {class: 'dd-faint'}, `Over the image: up to ${fixed(told.heat.most, 4)} a place, together ${fixed(told.sum, 4)}, unweighted.`));
    }
    app.stage.setHeat(null);
    detail.replaceChildren(head, told.values ? queries() : make('p', {class: 'dd-faint'}, `One number for the image: ${fixed(told.sum, 4)}.`));
  }

  function queries() {
    const order = told.values.map((v, k) => [v, k]).filter(([v]) => v !== 0).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0]));
    const most = order.length ? Math.abs(order[0][0]) : 1, sum = order.reduce((s, [v]) => s + v, 0), few = order.slice(0, 12);
    const {side: now, index} = app.state.get();
    const bars = few.map(([v, k]) => make('button', {type: 'button', class: `dd-bar${told.side && now === told.side && index === k ? ' chosen' : ''}`, disabled: !told.side, 'data-query': k, 'data-value': v, onclick: () => app.stage.choose({side: told.side, index: k})}, make('span', {class: 'name'}, `query ${k}`), make('span', {class: 'track'}, make('i', {style: `width:${(100 * Math.abs(v) / most).toFixed(1)}%`})), make('span', {class: 'value'}, fixed(v, 4))));
    const rest = order.length - few.length;
    return make('div', null, make('div', {class: `dd-bars ${told.side === 'teacher' ? 'teacher' : 'student'}`}, bars), make('p', {class: 'dd-faint'}, order.length ? `${rest > 0 ? `and ${rest} smaller; ` : ''}together ${fixed(sum, 4)}, unweighted; ${told.values.length - order.length} queries have none` : 'nothing in this layer'));
  }

  return {id: 'losses', title: 'Losses', side: panel, wide: doctor.panel, needs: ['layer', 'side', 'index'], load};
}
