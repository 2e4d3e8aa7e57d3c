// Elements from plain data. Text goes in as text nodes only, so a class name with markup in it stays a class name.
const SVG = 'http://www.w3.org/2000/svg';

function make(tag, attributes, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

function draw(tag, attributes, ...children) {
  return furnish(document.createElementNS(SVG, tag), attributes, children);
}

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat(3).filter(child => child !== null && child !== undefined && child !== false));
  return node;
}

// Numbers as people write them.
const minus = text => text.replace('-', '−');
const fixed = (value, digits = 3) => minus(value.toFixed(digits));
const short = value => minus(Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 10 ? value.toFixed(1) : value.toFixed(2));
const share = value => `${(100 * value).toFixed(value < 0.0995 ? 1 : 0)}%`;
const percent = value => (100 * value).toFixed(3) + '%';

// A control with the same look everywhere.
function check(title, on, change, {says, id, mark, count} = {}) {
  const input = make('input', {type: 'checkbox', checked: on, onchange: event => change(event.target.checked)});
  return make('label', {class: 'dd-chip', title: says, 'data-toggle': id}, input, mark, make('span', null, title), count && make('span', {class: 'count', 'data-count': id}));
}

function choice(name, options, value, change, {says} = {}) {
  const found = options.map(o => make('option', {value: o.id, selected: o.id === value}, o.title));
  const select = make('select', {'aria-label': name, title: says, onchange: event => change(event.target.value)}, found);
  select.value = value;
  return make('label', {class: 'dd-choice', title: says}, make('span', null, name), select);
}

// One of a few, side by side; arrow keys go between them as in a group of radio buttons.
function segments(name, options, value, change) {
  const group = `dd-${name}-${Math.random().toString(36).slice(2)}`;
  return make('div', {class: 'dd-segments', role: 'radiogroup', 'aria-label': name}, options.map(o => make('label', {title: o.says},
    make('input', {type: 'radio', name: group, value: o.id, checked: o.id === value, onchange: () => change(o.id)}), make('span', null, o.title))));
}

// A question mark that answers: one sentence, and the equation behind it where there is one.
function help(says, equation) {
  const box = make('span', {class: 'dd-help', role: 'tooltip'}, says, equation && make('code', null, equation));
  return make('button', {type: 'button', class: 'dd-ask', 'aria-label': says + (equation ? ' ' + equation : '')}, '?', box);
}

function heading(title, says, equation) {
  return make('h3', null, title, says && help(says, equation));
}
