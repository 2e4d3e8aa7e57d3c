// What was chosen on the canvas, in numbers: its class scores, its box, the cost of each match by part.
const root = element.querySelector('.dd-query');
const number = value => (value < 0 ? '−' : '') + Math.abs(value).toFixed(3);
const cell = (text, attributes) => make('td', attributes, text);

function partner(item, text) {
  return make('button', {class: `dd-link ${item.role}`, type: 'button', title: 'Show it on the canvas', onclick: () => tell('choose', {side: item.side, index: item.index})}, text);
}

function scores(view) {
  return make('div', {class: 'dd-scores'}, view.scores.map(s => make('div', {class: 'score'},
    make('span', {class: 'name'}, s.name), make('span', {class: 'track'}, make('i', {class: 'bar ' + view.role, style: `width:${(100 * s.score).toFixed(1)}%`})), make('span', {class: 'value'}, s.score.toFixed(3)))));
}

function parts(match) {
  const rows = match.parts.map(p => make('tr', {title: p.says, 'data-part': p.part},
    make('th', {scope: 'row'}, p.title, make('small', null, p.says)), cell(number(p.cost)), cell('× ' + p.weight), cell(number(p.weighted), {class: 'strong'})));
  const foot = make('tr', null, make('th', {scope: 'row'}, 'Total'), cell(number(match.plain)), cell(''), cell(number(match.total), {class: 'strong', 'data-total': match.total}));
  const head = make('tr', null, ['Part', 'Cost', 'Weight', 'Weighted'].map(name => make('th', {scope: 'col'}, name)));
  return make('table', {class: 'dd-table'}, make('thead', null, head), make('tbody', null, rows), make('tfoot', null, foot));
}

function meeting(match) {
  return make('section', {class: 'dd-match', 'data-match': match.line}, make('h4', null, match.title, ' ', partner(match.other, match.name)), make('p', null, match.says), parts(match));
}

function ranking(list) {
  const rows = list.rows.map(r => make('tr', {class: r.matched ? 'matched' : ''}, make('th', {scope: 'row'}, partner(r.other, r.name), r.matched ? make('small', null, ' matched') : null), ...r.parts.map(p => cell(number(p))), cell(number(r.total), {class: 'strong'})));
  const head = make('tr', null, ['', ...list.columns, 'Total'].map(name => make('th', {scope: 'col'}, name)));
  return make('details', {class: 'dd-ranking', open: list.open}, make('summary', null, list.title), make('p', null, list.says), make('table', {class: 'dd-table'}, make('thead', null, head), make('tbody', null, rows)));
}

// While nothing is chosen: each object with the queries that answer for it.
function overview(view) {
  const ends = row => row.answers.flatMap(a => a ? [make('td', null, partner(a.other, String(a.other.index))), cell(number(a.total), {class: 'strong'})] : [cell('–'), cell('')]);
  const rows = view.rows.map(row => make('tr', null, make('th', {scope: 'row'}, partner(row.other, row.name)), ends(row)));
  const head = make('tr', null, ['Object', ...view.sides.flatMap(side => [side, 'cost'])].map(name => make('th', {scope: 'col'}, name)));
  root.replaceChildren(
    make('header', null, make('h3', null, view.title), make('span', null, view.where)), make('p', null, view.says),
    rows.length ? make('table', {class: 'dd-table'}, make('thead', null, head), make('tbody', null, rows)) : '',
    make('p', {class: 'dd-hint'}, 'Click a box, or focus the image and use the arrow keys: its class scores and the cost of its match appear here. A second click takes the box beneath.'));
}

function show() {
  const view = props.value ? JSON.parse(props.value) : null;
  delete root.dataset.chosen;
  if (!view) return root.replaceChildren();
  if (view.rows) return overview(view);
  const head = make('header', null, make('h3', null, make('i', {class: 'swatch ' + view.role}), view.title), make('span', null, view.where));
  root.replaceChildren(head, make('p', {class: 'dd-box-text'}, view.box), scores(view), view.says ? make('p', {class: 'dd-says'}, view.says) : '', ...view.matches.map(meeting), ...view.rankings.map(ranking));
  root.dataset.chosen = `${view.side}/${view.index}/${view.layer}`;
}

show();
watch('value', show);
