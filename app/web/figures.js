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
  const look = {shipped: false, image: true, main: true, other: true};
  const NO_IMAGE = -(2 ** 31), EVERY = 1000, FORMS = {tex: 'LaTeX', md: 'Markdown'};
  let pages = null, ready = null, timer = 0, asked = 0;
  full.append(list, body);

  const page = () => pages?.find(p => p.name === app.state.get().figure);
  const runs = () => { const {run, compare} = app.state.get(); return [look.main && run, look.other && compare].filter(Boolean); };
  const imageId = () => { const [kind, id] = app.state.get().image.split('/'); return page().image && look.image && kind === 'image' ? Number(id) : NO_IMAGE; };
  const given = () => ({name: page().name, runs: runs(), shipped: look.shipped || !runs().length, image: imageId()});

  async function load() {
    const mine = ++asked;
    clearTimeout(timer);
    try {
      await (ready = ready || prepare());
      if (mine !== asked) return;
      choose();
      if (page()) await ask_(mine, given());
    } catch (error) { if (mine === asked) fail(error.message); }
  }

  async function prepare() {
    try { pages = (await ask('figures')).pages; } catch (error) { ready = null; throw error; }
    const group = (title, kind) => [make('h4', null, title), pages.filter(p => p.kind === kind).map(entry)];
    list.replaceChildren(...[group('Figures', 'figure'), group('Tables', 'table')].flat(2));
  }

  // "Figure 4: where .." has its number in its title; others go by their name.
  function entry({name, title}) {
    const [number, rest] = /^(?:Figure|Table) \d+: /.test(title) ? title.split(/: (.*)/s) : [name.replaceAll('_', ' '), title];
    return make('button', {type: 'button', 'data-page': name, onclick: () => app.state.get().figure === name ? load() : app.state.set({figure: name})}, make('b', null, number), make('small', null, rest));
  }

  function choose() {
    const {run, compare, image} = app.state.get(), tick = (title, key, says) => check(title, look[key], on => { look[key] = on; load(); }, {says, id: `of-${key}`});
    for (const node of list.querySelectorAll('button')) node.setAttribute('aria-current', String(node.dataset.page === page()?.name));
    options.replaceChildren(...[make('span', {class: 'dd-faint'}, 'Made of'), tick(run, 'main', 'The run that is shown'), compare && tick(compare, 'other', 'The run beside it'), tick('what the project ships', 'shipped', 'Its runs, and the summaries of its studies'), page()?.image && image.startsWith('image/') && tick(imageName(), 'image', 'The image that is chosen, instead of the one that the figure’s own rule takes')].filter(Boolean));
    delete body.dataset.state;
    if (!page()) put(heading('Figures and tables of the paper', 'Made of the runs that are open, by the same code as on the command line: python -m analysis NAME.'), make('p', {class: 'dd-faint'}, 'Choose one from the list. Those of one image take seconds; those of a whole run look at all its images once, and keep what they found for the next.'));
  }

  const imageName = () => app.stage.picture()?.name || app.state.get().image.replace('/', ' ');
  const put = (...nodes) => body.replaceChildren(...nodes.filter(Boolean));
  const head = () => make('header', null, make('h3', null, page().title), options);

  function fail(text) {
    put(page() && head(), make('p', {class: 'dd-says'}, text));
    body.dataset.state = 'failed';
  }

  // Asks until it is made; another page, or other runs, end this.
  async function ask_(mine, now) {
    const found = await ask('figure', now);
    if (mine !== asked || app.current() !== 'figures') return;
    body.dataset.page = now.name;
    if (found.state === 'failed') return fail(found.said);
    if (found.state === 'made') put(...made(found, now));
    else {
      put(head(), make('p', {class: 'dd-faint', 'aria-live': 'polite'}, `${found.seconds.toFixed(0)} s · ${found.said || 'looking at the runs'}`), make('progress', {'aria-label': 'Working'}));
      timer = setTimeout(() => ask_(mine, now).catch(error => mine === asked && fail(error.message)), EVERY);
    }
    body.dataset.state = found.state;
  }

  function made(found, now) {
    const files = found.forms.filter(form => form !== 'txt').map(form => make('button', {type: 'button', class: 'dd-button', 'data-form': form, onclick: () => save(form, now)}, FORMS[form] || form.toUpperCase()));
    return [head(), make('div', {class: 'dd-few'}, make('span', {class: 'dd-faint'}, 'Download'), files), found.picture && make('img', {class: 'dd-preview', src: found.picture, alt: found.caption}), found.table.length > 0 && sheet(found.table), make('p', {class: 'dd-caption'}, found.caption.replaceAll('**', ''))];
  }

  async function save(form, {name, runs, shipped, image}) {
    try { keep(await ask('file', {name, form, runs, shipped, image})); } catch (error) { app.say(error.message); }
  }

  function sheet([top, ...rows]) {
    const cell = (tag, text, attributes) => make(tag, attributes, text.startsWith('**') ? make('b', null, text.replaceAll('**', '')) : text);
    return make('div', {class: 'dd-scroll'}, make('table', {class: 'dd-table dd-sheet'}, make('thead', null, make('tr', null, top.map(t => cell('th', t, {scope: 'col'})))), make('tbody', null, rows.map(r => make('tr', null, r.map((t, k) => cell(k ? 'td' : 'th', t)))))));
  }

  return {id: 'figures', title: 'Figures', full, needs: ['figure', 'compare'], load};
}
