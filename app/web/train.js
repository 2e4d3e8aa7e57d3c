// View 6: a training that is going on, and a tiny one started from here.
function trainView(app) {
  const full = make('div', {class: 'dd-train'});
  const form = make('section', {class: 'dd-card'}), progress = make('section', {class: 'dd-card dd-progress'}), charts = make('div', {class: 'dd-charts'});
  const EVERY = 2000; // milliseconds between looks
  let recipes = null, ready = null, watched = '', timer = 0;
  const number = (name, value, most) => make('input', {type: 'number', min: 1, max: most, value, 'aria-label': name});
  const epochs = number('Epochs', 3, 60), images = number('Images', 400, 2400);
  const state = make('p', {class: 'dd-faint', 'aria-live': 'polite'}), said = make('pre', {class: 'dd-log'});
  const start = make('button', {type: 'button', class: 'dd-button', onclick: begin}, 'Start'), stop = make('button', {type: 'button', class: 'dd-button', onclick: end}, 'Stop');
  full.append(form, progress, charts);

  async function load() {
    clearTimeout(timer);
    try {
      await (ready = ready || prepare());
      await look();
    } catch (error) {
      if (!recipes) ready = null;
      app.say(error.message);
    }
  }

  async function prepare() {
    const [found, listed] = await Promise.all([ask('recipes'), ask('runs')]);
    recipes = found;
    build(listed);
  }

  function build({runs}) {
    const picked = runs.map(r => ({id: r.id, title: r.id}));
    watched = recipes.run || app.state.get().run;
    if (!picked.some(r => r.id === watched)) picked.unshift({id: watched, title: watched});
    form.replaceChildren(
      heading('Train a small student', 'On drawn shapes, in a process of its own: no file and no download is needed. It can be stopped at any step, and resumed on the command line.'),
      make('div', {class: 'dd-few'}, choice('Recipe', recipes.recipes, recipe(), () => {}, {says: recipes.recipes.map(r => `${r.title}: ${r.says}`).join('\n')}), make('label', {class: 'dd-choice'}, make('span', null, 'Epochs'), epochs), make('label', {class: 'dd-choice'}, make('span', null, 'Images'), images), start, stop, make('span', {class: 'grow'}), choice('Watch', picked, watched, value => { watched = value; load(); }, {says: 'Any run, also one that was started on the command line'})),
      said);
  }

  const recipe = () => form.querySelector('select[aria-label=Recipe]')?.value || (recipes.recipes.some(r => r.id === 'shapes_distill') ? 'shapes_distill' : recipes.recipes[0]?.id);

  async function begin() {
    try {
      const found = await ask('train', {recipe: recipe(), epochs: Number(epochs.value), images: Number(images.value)});
      watched = found.run;
      const select = form.querySelector('select[aria-label=Watch]');
      select.append(make('option', {value: watched}, watched));
      select.value = watched;
      load();
    } catch (error) { app.say(error.message); }
  }

  async function end() {
    try { await ask('stop'); load(); } catch (error) { app.say(error.message); }
  }

  async function look() {
    const asked = watched, found = await ask('watch', {run: asked});
    if (asked !== watched || app.current() !== 'train') return;
    show(found);
    if (found.here.going || ['running', 'starting'].includes(found.state)) timer = setTimeout(load, EVERY);
  }

  function show(found) {
    const here = found.here, mine = here.run === watched;
    start.disabled = here.going;
    stop.disabled = !here.going;
    said.textContent = here.run ? here.said.join('\n') : '';
    said.hidden = !here.run;
    full.dataset.state = mine && here.going ? 'running' : mine && here.code ? 'ended' : found.state;
    if (found.state === 'starting') {
      state.textContent = here.going ? `${watched}: getting ready` : `${watched} ended before its first step, with code ${here.code}`;
      progress.replaceChildren(state);
      return charts.replaceChildren();
    }
    const part = found.steps ? found.step / found.steps : found.epoch / found.epochs;
    const ends = {finished: 'finished', stopped: 'stopped; go on with: python -m train resume ' + watched, running: 'running'}[full.dataset.state] || (here.code === 143 ? `stopped and saved; go on with: python -m train resume ${watched}` : `ended with code ${here.code}`);
    state.textContent = `${watched}: epoch ${found.epoch} of ${found.epochs}, step ${found.step}${found.steps ? ` of ${found.steps}` : ''}, ${ends}`;
    progress.replaceChildren(state, make('progress', {max: 1, value: part, 'aria-label': 'Progress'}), full.dataset.state === 'finished' ? make('button', {type: 'button', class: 'dd-button', onclick: () => app.state.set({run: watched, compare: '', image: '', side: '', index: 0, layer: null, tab: 'matches'})}, 'Look at it') : '');
    charts.replaceChildren(...[ap(found), terms(found), unstable(found)].filter(Boolean));
  }

  const card = (title, says, equation, body) => make('section', {class: 'dd-card'}, heading(title, says, equation), body);

  function ap(found) {
    const student = (found.ap.student || []).map(([e, v]) => [e, v === null ? null : 100 * v]), teacher = (found.ap.teacher || []).at(-1);
    const series = [{title: 'student', role: found.ap.teacher ? 'distilled' : 'student', points: student}];
    if (teacher && teacher[1] !== null) series.push({title: 'teacher', role: 'teacher', dashed: true, points: [[1, 100 * teacher[1]], [Math.max(2, found.epochs), 100 * teacher[1]]]});
    return card('Average precision', 'Measured after each epoch on images that are not learnt from: the mean over IoU 0.5 to 0.95.', null, curves('Average precision', series, ['epoch', 'AP'], {zero: true, whole: true}));
  }

  function terms(found) {
    const lines = ['total', ...found.losses], dash = ['', 'teacher', 'distilled', 'truth', 'student', 'match'];
    return card('Loss', 'The total of each step and the weighted part of each loss in it.', 'L = L_det + λ₁ L_logits + λ₂ L_feat + λ₃ L_assign', curves('Loss', lines.map((name, k) => ({title: name, role: dash[k % dash.length], points: found.curve.map(s => [s.step, s[name] ?? null])})), ['step', 'loss'], {zero: true}));
  }

  function unstable(found) {
    const student = found.instability.student, teacher = (found.instability.teacher || []).at(-1);
    if (!student) return null;
    const series = [{title: 'student', role: 'distilled', points: student}];
    if (teacher) series.push({title: 'teacher', role: 'teacher', dashed: true, points: [[1, teacher[1]], [Math.max(2, found.epochs), teacher[1]]]});
    return card('Instability', 'Queries whose object is another than in the layer before, a mean over layers and images.', 'IS = Σₙ 1[ Vₙ(k) ≠ Vₙ(k−1) ]', curves('Instability', series, ['epoch', 'IS'], {zero: true, whole: true}));
  }

  return {id: 'train', title: 'Train', full, load};
}
