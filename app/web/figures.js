// A file that the server answered, kept where the browser keeps files.
function keep({name, data}) {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), link = make('a', {href: URL.createObjectURL(new Blob([bytes])), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// View 5: the figures and tables of the paper, made of the runs that are open.
function figuresView(app) {
  const full = make('div', {class: 'dd-figures'});
  const list = make('nav', {class: 'dd-card dd-pages', 'aria-label': 'Figures and tables'}), body = make('section', {class: 'dd-card dd-paper'}), options = make('div', {class: 'dd-few'});
  const look = {name: '', shipped: false, image: true, main: true, other: true};
  const NO_IMAGE = -(2 ** 31), EVERY = 1000;
  let pages = null, ready = null, timer = 0, asked = 0;
  full.append(list, body);

  const wanted = () => { const {run, compare} = app.state.get(); return [look.main && run, look.other && compare].filter(Boolean); };
  const imageId = () => { const [kind, id] = app.state.get().image.split('/'); return look.image && kind === 'image' ? Number(id) : NO_IMAGE; };
  const given = () => ({name: look.name, runs: wanted(), shipped: look.shipped || !wanted().length, image: pages.find(p => p.name === look.name).kind === 'figure' ? imageId() : NO_IMAGE});

  async function load() {
    try {
      await (ready = ready || prepare());
      settings();
      if (look.name) await make_();
    } catch (error) { fail(error); }
  }

  async function prepare() {
    pages = (await ask('figures')).pages;
    const group = (title, kind) => [make('h4', null, title), pages.filter(p => p.kind === kind).map(p => make('button', {type: 'button', 'data-page': p.name, onclick: () => open(p.name)}, p.title))];
    list.replaceChildren(...[group('Figures', 'figure'), group('Tables', 'table')].flat(2));
    body.replaceChildren(heading('Figures and tables of the paper', 'Made of the runs that are open. The first of a run takes a while: every image is looked at once.'), make('p', {class: 'dd-faint'}, 'Choose one on the left.'));
  }

  function settings() {
    const {run, compare, image} = app.state.get(), tick = (title, key, says) => check(title, look[key], on => { look[key] = on; load(); }, {says});
    options.replaceChildren(make('span', {class: 'dd-faint'}, 'of'), tick(run, 'main', 'The run that is shown'), compare ? tick(compare, 'other', 'The run beside it') : '', tick('what the project ships', 'shipped', 'Its runs and the summaries of its studies'), image.startsWith('image/') ? tick('this image', 'image', 'For figures of one image: the one that is chosen, instead of the figure’s own rule') : '');
  }

  function open(name) {
    look.name = name;
    load();
  }

  function fail(error) {
    clearTimeout(timer);
    body.replaceChildren(...head(), make('p', {class: 'dd-says'}, error.message));
    body.dataset.state = 'failed';
  }

  function head() {
    const page = pages?.find(p => p.name === look.name);
    for (const node of list.querySelectorAll('button')) node.setAttribute('aria-current', String(node.dataset.page === look.name));
    return page ? [make('h3', null, page.title), options] : [];
  }

  // Asks until it is made; another page, or other runs, end this.
  async function make_() {
    clearTimeout(timer);
    const mine = ++asked, now = given(), found = await ask('figure', now);
    if (mine !== asked || app.current() !== 'figures') return;
    body.dataset.state = found.state;
    body.dataset.page = now.name;
    if (found.state === 'failed') return fail(new Error(found.said));
    if (found.state === 'working') {
      body.replaceChildren(...head(), make('p', {class: 'dd-faint', 'aria-live': 'polite'}, `working, ${found.seconds.toFixed(0)} s: ${found.said || 'looking at the runs'}`), make('progress', {'aria-label': 'Working'}));
      timer = setTimeout(() => make_().catch(fail), EVERY);
      return;
    }
    const files = found.forms.filter(form => form !== 'txt').map(form => make('button', {type: 'button', class: 'dd-button', 'data-form': form, onclick: () => save(form, now)}, form === 'tex' ? 'LaTeX' : form === 'md' ? 'Markdown' : form.toUpperCase()));
    body.replaceChildren(...head(), make('div', {class: 'dd-few dd-actions'}, make('span', {class: 'dd-faint'}, 'Download'), files),
      found.picture ? make('img', {class: 'dd-preview', src: found.picture, alt: found.caption}) : '', found.table.length ? sheet(found.table) : '', make('p', {class: 'dd-caption'}, found.caption));
  }

  async function save(form, {name, runs, shipped, image}) {
    try { keep(await ask('file', {name, form, runs, shipped, image})); } catch (error) { app.say(error.message); }
  }

  function sheet([top, ...rows]) {
    return make('div', {class: 'dd-scroll'}, make('table', {class: 'dd-table dd-sheet'}, make('thead', null, make('tr', null, top.map(t => make('th', {scope: 'col'}, t)))), make('tbody', null, rows.map(r => make('tr', null, r.map((t, k) => make(k ? 'td' : 'th', null, t.replaceAll('**', ''))))))));
  }

  return {id: 'figures', title: 'Figures', full, load, open};
}
