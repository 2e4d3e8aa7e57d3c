// Each term of the loss on this image, for the layer of the slider and for all of them.
const root = element.querySelector('.dd-losses');
let table = null;
let layer = 0;

const number = value => value.toFixed(3);
const cell = (text, attributes) => make('td', attributes, text);

function row(term, largest) {
  const here = term.layers.length === 1 ? '–' : number(term.layers[layer] * term.weight);
  const bar = make('i', {class: 'bar', style: `width:${(100 * Math.max(0, term.weighted) / largest).toFixed(1)}%`});
  const sum = [number(term.sum), make('span', {class: 'times'}, ` × ${term.weight}`)];
  return make('tr', {title: term.says, 'data-term': term.path},
    make('th', {scope: 'row'}, term.title), make('td', null, make('span', {class: 'track'}, bar)), make('td', null, sum), cell(here), cell(number(term.weighted), {class: 'strong'}));
}

function section(loss, largest) {
  const name = make('th', {colspan: 4, scope: 'rowgroup'}, loss.name, make('small', null, loss.says));
  return make('tbody', null, make('tr', {class: 'section', title: loss.says}, name, cell(number(loss.weighted), {class: 'strong'})), loss.terms.map(term => row(term, largest)));
}

function show() {
  if (!table) return;
  const largest = Math.max(1e-9, ...table.losses.flatMap(l => l.terms.map(t => t.weighted)));
  const names = ['Term', '', 'Sum × weight', `Layer ${layer + 1}`, 'All layers'];
  const head = make('thead', null, make('tr', null, names.map(name => make('th', {scope: 'col'}, name))));
  const foot = make('tfoot', null, make('tr', null, make('th', {colspan: 4, scope: 'row'}, 'Total, as training adds it up'), cell(number(table.total), {class: 'strong', 'data-total': table.total})));
  root.replaceChildren(make('h3', null, 'Loss on this image'), make('p', null, table.says), make('table', {class: 'dd-table'}, head, table.losses.map(loss => section(loss, largest)), foot));
}

function load() {
  table = props.value ? JSON.parse(props.value) : null;
  show();
}

load();
watch('value', load);
hear('layer', detail => { layer = detail.layer; show(); });
