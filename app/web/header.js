// Which run, which beside it, what they are, and the way in for an image of one's own.
function header(host, app) {
  const facts = make('div', {class: 'facts'}), notes = make('div', {class: 'notes'});
  const run = picker('Run', 'run'), other = picker('Beside', 'compare');
  const file = make('input', {type: 'file', accept: '.jpg,.jpeg,.png,.webp,.bmp,.tif,.tiff', onchange: () => file.files[0] && app.upload(file.files[0])});
  const shade = make('button', {type: 'button', class: 'dd-shade', 'aria-label': 'Light or dark', title: 'Light or dark', onclick: () => document.body.classList.toggle('dark')}, '◐');

  function picker(title, key) {
    const select = make('select', {'aria-label': title, onchange: () => pick(key, select.value), onpointerdown: list, onfocus: list});
    return {key, select, label: make('label', {class: 'dd-choice'}, make('span', null, title), select)};
  }

  function pick(key, value) {
    const state = app.state.get();
    if (key === 'run') app.state.set({run: value, image: '', compare: state.compare === value ? '' : state.compare, side: '', index: 0, layer: null});
    else app.state.set({compare: value, ...(state.side === 'other' ? {side: '', index: 0} : {})});
  }

  let listed = 0;
  async function list() {
    if (Date.now() - listed < 3000) return;
    listed = Date.now();
    try { fill((await ask('runs')).runs); } catch (error) { app.say(error.message); }
  }

  function fill(runs) {
    const text = r => r.id + (r.lacks ? ` (${r.lacks})` : r.ap === null ? '' : ` · AP ${(100 * r.ap).toFixed(1)}`);
    const options = runs.map(r => ({id: r.id, title: text(r), off: Boolean(r.lacks)}));
    refill(run, options);
    refill(other, [{id: '', title: 'nothing'}, ...options.filter(o => o.id !== app.state.get().run)]);
  }

  function refill({select, key}, options) {
    const value = app.state.get()[key];
    if (!options.some(o => o.id === value)) options = [{id: value, title: value}, ...options];
    const texts = options.map(o => o.id + o.title).join('\n');
    if (select.dataset.texts !== texts) select.replaceChildren(...options.map(o => make('option', {value: o.id, disabled: o.off}, o.title)));
    select.dataset.texts = texts;
    select.value = value;
  }

  function show(about) {
    const one = x => `${x.kind}, ${x.backbone}, ${x.layers} layers, ${x.queries} queries` + (x.ap === null ? '' : `, AP ${(100 * x.ap).toFixed(1)}`);
    facts.replaceChildren(
      make('span', null, make('b', null, 'Student'), one(about.student)),
      make('span', null, make('b', null, 'Teacher'), about.teacher ? one(about.teacher) : 'none: it learnt from the truth alone'));
    notes.replaceChildren(...about.notes.map(note => make('p', {class: 'dd-note'}, note)));
  }

  function sync() {
    for (const x of [run, other]) {
      const value = app.state.get()[x.key];
      if (![...x.select.options].some(o => o.value === value)) x.select.append(make('option', {value}, value || 'nothing'));
      x.select.value = value;
    }
  }

  host.replaceChildren(make('div', {class: 'line'}, make('h1', null, 'DETRDistill'), run.label, other.label, make('span', {class: 'grow'}), make('label', {class: 'dd-button', title: 'A photo of your own; nothing leaves this machine'}, 'Upload an image', file), shade), facts, notes);
  sync();
  app.state.watch((_, changed) => (changed.has('run') || changed.has('compare')) && sync());
  return {show, list};
}
