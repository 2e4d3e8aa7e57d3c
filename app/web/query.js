// What is chosen, in numbers: its class scores, its box, each of its matches: cost by part, margin, runner-up.
function queryPanel(host, app) {
  const cell = (text, attributes) => make('td', attributes, text);

  function partner(item, text) {
    return make('button', {class: `dd-link ${item.role}`, type: 'button', title: 'Show it on the canvas', onclick: () => app.stage.choose({side: item.side, index: item.index})}, text);
  }

  function scores(view) {
    return make('div', {class: 'dd-scores'}, view.scores.map(s => make('div', {class: 'score'},
      make('span', {class: 'name'}, s.name), make('span', {class: 'track'}, make('i', {class: 'bar ' + view.role, style: `width:${(100 * s.score).toFixed(1)}%`})), make('span', {class: 'value'}, s.score.toFixed(3)))));
  }

  function parts(match) {
    const rows = match.parts.map(p => make('tr', {title: p.says, 'data-part': p.part},
      make('th', {scope: 'row'}, p.title, make('small', null, p.says)), cell(fixed(p.cost)), cell('× ' + p.weight), cell(fixed(p.weighted), {class: 'strong'})));
    const foot = make('tr', null, make('th', {scope: 'row'}, 'Total'), cell(fixed(match.plain)), cell(''), cell(fixed(match.total), {class: 'strong', 'data-total': match.total}));
    const head = make('tr', null, ['Part', 'Cost', 'Weight', 'Weighted'].map(name => make('th', {scope: 'col'}, name)));
    return make('table', {class: 'dd-table'}, make('thead', null, head), make('tbody', null, rows), make('tfoot', null, foot));
  }

  function firm(match) {
    if (match.margin === null) return null;
    const heir = match.runner_up ? [' Then ', partner(match.runner_up.other, match.runner_up.name), ' would be it.'] : null;
    return make('p', {class: 'dd-firm', 'data-margin': match.margin}, 'Margin ', make('b', null, fixed(match.margin)), help('What all matches of this layer together would cost more if this pair were not allowed: near 0, and the match may flip.', 'margin = min{Σ cost : without the pair} − min{Σ cost}'), heir);
  }

  function meeting(match) {
    return make('section', {class: 'dd-match', 'data-match': match.line}, make('h4', null, match.title, ' ', partner(match.other, match.name)), make('p', null, match.says), parts(match), firm(match));
  }

  function ranking(list) {
    const rows = list.rows.map(r => make('tr', {class: r.matched ? 'matched' : ''}, make('th', {scope: 'row'}, partner(r.other, r.name), r.matched ? make('small', null, ' matched') : null), ...r.parts.map(p => cell(fixed(p))), cell(fixed(r.total), {class: 'strong'})));
    const head = make('tr', null, ['', ...list.columns, 'Total'].map(name => make('th', {scope: 'col'}, name)));
    return make('details', {class: 'dd-ranking', open: list.open}, make('summary', null, list.title), make('p', null, list.says), make('table', {class: 'dd-table'}, make('thead', null, head), make('tbody', null, rows)));
  }

  const paper = () => make('button', {type: 'button', class: 'dd-button', title: 'This image explained, as a figure for print', onclick: () => app.figure('image')}, 'As a figure');

  // While nothing is chosen: each object with the queries that answer for it.
  function overview(view) {
    const ends = row => row.answers.map(a => a ? cell([partner(a.other, String(a.other.index)), make('span', {class: 'cost'}, fixed(a.total, 2))]) : cell('–'));
    const rows = view.rows.map(row => make('tr', {'data-object': row.other.index}, make('th', {scope: 'row'}, partner(row.other, row.name), row.change && row.change !== 'kept' && make('small', {class: `change ${row.change}`}, row.change)), ends(row)));
    const head = make('tr', null, make('th', {scope: 'col'}, 'Object'), view.sides.map(side => make('th', {scope: 'col'}, make('i', {class: `swatch ${side.role}`}), side.title)));
    host.replaceChildren(
      make('header', null, heading(view.title, view.says), make('span', null, view.where), paper()),
      rows.length ? make('div', {class: 'dd-scroll'}, make('table', {class: 'dd-table dd-overview'}, make('thead', null, head), make('tbody', null, rows))) : make('p', null, view.says),
      make('p', {class: 'dd-hint'}, 'Click a box, or focus the image and use the arrow keys: its class scores and the cost of its match appear here. A second click takes the box beneath.'));
  }

  function show(view) {
    delete host.dataset.chosen;
    if (view.rows) return overview(view);
    const head = make('header', null, make('h3', null, make('i', {class: 'swatch ' + view.role}), view.title), make('span', null, view.where));
    const close = make('button', {type: 'button', class: 'dd-close', 'aria-label': 'Let go', title: 'Back to all objects', onclick: () => app.stage.choose(null)}, '×');
    head.append(paper(), close);
    host.replaceChildren(head, make('p', {class: 'dd-box-text'}, view.box), scores(view), view.says ? make('p', {class: 'dd-says'}, view.says) : '', ...view.matches.map(meeting), ...view.rankings.map(ranking));
    host.dataset.chosen = `${view.side}/${view.index}/${view.layer}`;
  }

  return {show};
}
