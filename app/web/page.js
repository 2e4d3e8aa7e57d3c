// The page: header, tabs, images, and one canvas that the views of an image share.
const root = element.querySelector('.dd-page');

function page() {
  const state = selection(START);
  const app = {state, say, upload: give, about: () => about, current: () => current().id};
  const boxes = Object.fromEntries(['header', 'tabs', 'gallery', 'stage', 'side', 'wide', 'full'].map(name => [name, make('div', {class: `dd-${name}`})]));
  const message = make('div', {class: 'dd-message', role: 'alert', hidden: true}, make('span'), make('button', {type: 'button', 'aria-label': 'Close', onclick: () => { message.hidden = true; }}, '×'));
  const question = latest('look');
  let about = null, loads = 0, fading = 0, ticking = 0;

  app.stage = stage(boxes.stage, app);
  app.figure = name => state.set({tab: 'figures', figure: name});
  window.dd = {choose: app.stage.choose}; // for whoever drives the page from outside
  const head = header(boxes.header, app), strip = gallery(boxes.gallery, app);
  const views = [matchesView, masksView, stabilityView, lossesView, figuresView, trainView].map(view => view(app));
  const current = () => views.find(v => v.id === state.get().tab) || views[0];

  // One line that says what went wrong.
  function say(text) {
    message.firstChild.textContent = text;
    message.hidden = false;
    clearTimeout(fading);
    fading = setTimeout(() => { message.hidden = true; }, 12000);
  }

  function tabs() {
    boxes.tabs.setAttribute('role', 'tablist');
    boxes.tabs.replaceChildren(...views.map((v, k) => make('button', {type: 'button', role: 'tab', 'data-tab': v.id, title: `Alt+${k + 1}`, onclick: () => state.set({tab: v.id}), onkeydown: turn}, v.title)));
  }

  function turn(event) {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
    if (!step) return;
    const next = views[(views.indexOf(current()) + step + views.length) % views.length];
    state.set({tab: next.id});
    boxes.tabs.querySelector(`[data-tab=${next.id}]`).focus();
  }

  function arrange() {
    const view = current();
    for (const tab of boxes.tabs.children) {
      tab.setAttribute('aria-selected', String(tab.dataset.tab === view.id));
      tab.tabIndex = tab.dataset.tab === view.id ? 0 : -1;
    }
    boxes.side.replaceChildren(...(view.side ? [view.side] : []));
    boxes.wide.replaceChildren(...(view.wide ? [view.wide] : []));
    boxes.full.replaceChildren(...(view.full ? [view.full] : []));
    root.dataset.tab = view.id;
    root.classList.toggle('whole', Boolean(view.full));
    app.stage.setHeat(null);
    view.load();
  }

  // The picture first, then boxes as soon as a network is done, then the rest. A newer image ends this.
  async function load(anew) {
    const mine = ++loads, {run, compare, image} = state.get();
    const told = anew ? introduce(run) : null;
    try {
      if (image) await open(mine, image, run, compare);
      else if ((await told) && mine === loads) state.set({image: about.first});
    } catch (error) {
      if (mine === loads) fail(error);
    }
  }

  async function introduce(run) {
    about = null;
    try {
      const found = await ask('about', {run});
      if (run !== state.get().run) return false;
      about = found;
      head.show(about);
      strip.load();
      current().load();
      return true;
    } catch (error) {
      say(error.message);
      return false;
    }
  }

  function fail(error) {
    app.stage.wait('');
    say(error.message);
    if (about && state.get().image !== about.first && error instanceof Refused && !app.stage.scene()) state.set({image: about.first});
  }

  async function open(mine, key, run, compare) {
    const asked = question({key, who: WHO, run, compare});
    asked.catch(() => null); // the picture may be refused first; either says why
    const image = await ask('image', {key, run});
    if (mine !== loads) return;
    app.stage.showImage(image);
    let told = await asked, boxes = 0;
    const begun = performance.now();
    while (mine === loads && told && !told.scene) {
      if (told.boxes.length > boxes) app.stage.showBoxes(told.boxes);
      boxes = told.boxes.length;
      tick(told, begun);
      told = await question({key, who: WHO, run, compare, have: told.stage});
    }
    clearInterval(ticking);
    if (mine !== loads || !told) return;
    app.stage.wait('');
    app.stage.showScene(told.scene);
    current().load();
  }

  // How long it has been at it, and at what.
  function tick(told, begun) {
    const steps = [...(about?.teacher ? ['the teacher'] : []), 'the student', 'the matches'], each = steps.length;
    const now = told.done[0] && told.done.length > 1 ? 'the second student' : steps[Math.min(told.boxes.length, each - 1)];
    const text = () => app.stage.wait(`${now} is at work · step ${Math.min(told.stage + 1, each * told.done.length)} of ${each * told.done.length} · ${((performance.now() - begun) / 1000 + told.seconds).toFixed(0)} s`.replace('matches is', 'matches are'));
    clearInterval(ticking);
    ticking = setInterval(text, 500);
    text();
  }

  async function give(file) {
    try {
      const {path} = await upload(file);
      state.set({image: await ask('upload', {file: {path}}), side: '', index: 0});
    } catch (error) { say(error.message); }
  }

  function changed(_, keys) {
    if (keys.has('run')) return load(true);
    if (keys.has('image') || keys.has('compare')) load(false);
    if (keys.has('tab')) arrange();
    else if ((current().needs || []).some(key => keys.has(key))) current().load(keys);
  }

  root.replaceChildren(boxes.header, boxes.tabs, boxes.gallery, make('main', {class: 'dd-main'}, boxes.stage, boxes.side, boxes.wide), boxes.full, message);
  for (const name of ['dragover', 'drop']) boxes.stage.addEventListener(name, event => event.preventDefault());
  boxes.stage.addEventListener('drop', event => event.dataTransfer.files[0] && give(event.dataTransfer.files[0]));
  document.addEventListener('keydown', event => { if (event.altKey && views[Number(event.key) - 1]) { state.set({tab: views[Number(event.key) - 1].id}); event.preventDefault(); } });
  tabs();
  arrange();
  state.watch(changed);
  load(true);
  head.list();
}

page();
