// The doctor of a run: what each loss does to the student, and the setting to change.
function doctorPanel(app) {
  const panel = make('section', {class: 'dd-card dd-doctor'}), known = new Map(); // diagnoses by run
  const says = 'Of what the run recorded while it trained, and of its first images: what each loss does to the student, whether student and teacher agree, and what to change.';
  let going = '', shown = '';

  const title = (...more) => make('header', null, heading('The doctor of this run', says), ...more);
  const button = text => make('button', {type: 'button', class: 'dd-button', onclick: begin}, text);
  const part = value => value === null ? '–' : share(value);

  function show(run) {
    if (run === shown && panel.childNodes.length) return;
    shown = run;
    if (known.has(run)) return tell(known.get(run));
    delete panel.dataset.state;
    panel.replaceChildren(title(button('Examine this run')));
  }

  async function begin() {
    const run = going = shown;
    try {
      let found = {state: 'working', seen: 0, of: 1};
      while (found.state === 'working') {
        if (run === shown) working(found);
        found = await ask('doctor', {run});
        if (run !== going) return;
      }
      known.set(run, found);
      if (run === shown) tell(found);
    } catch (error) { if (run === shown) failed(error.message); }
  }

  function working({seen, of}) {
    panel.dataset.state = 'working';
    panel.replaceChildren(title(), make('p', {class: 'dd-faint', 'aria-live': 'polite'}, `looking at image ${seen + 1} of ${of}`), make('progress', {max: of, value: seen, 'aria-label': 'Examining'}));
  }

  function failed(text) {
    panel.dataset.state = 'failed';
    panel.replaceChildren(title(button('Try again')), make('p', {class: 'dd-says'}, text));
  }

  function tell(found) {
    panel.dataset.state = 'made';
    const ills = found.findings.map(x => make('li', {'data-disease': x.disease}, make('b', null, x.title), ': ', x.evidence, '; ', x.setting));
    const rest = [losses(found), terms(found), agreement(found)].filter(Boolean);
    panel.replaceChildren(title(make('span', null, `${found.steps} steps`), button('Examine again')), make('p', {class: 'dd-verdict'}, found.verdict),
      ills.length > 1 ? make('ol', null, ills) : '', make('div', {class: 'dd-panels'}, rest));
  }

  function table(head, rows) {
    return make('div', {class: 'dd-scroll'}, make('table', {class: 'dd-table'}, make('thead', null, make('tr', null, head.map(text => make('th', {scope: 'col'}, text)))), make('tbody', null, rows.map(([name, ...cells]) => make('tr', null, make('th', {scope: 'row'}, name), cells.map(text => make('td', null, text)))))));
  }

  function losses({pulls}) {
    const looked = pulls.some(p => p.features !== null || p.decoder !== null);
    const rows = pulls.map(p => [p.loss, part(p.share), ...(looked ? [part(p.features), part(p.decoder)] : [])]);
    const note = looked ? null : make('p', {class: 'dd-faint'}, 'This run did not log the gradient of each loss.');
    return make('div', {'data-part': 'pulls'}, heading('What pulls at the student', 'At the end of training: the share of each loss in the total, and in the gradient at the student’s neck and in its decoder.'), table(['Loss', 'in the total', ...(looked ? ['at the features', 'in the decoder'] : [])], rows), note);
  }

  function terms({terms}) {
    return make('div', {'data-part': 'terms'}, heading('What was learnt of each term', 'Unweighted means over the first and the last fifth of all steps.'), table(['Term', 'at first', 'at last'], terms.map(t => [t.name.replaceAll('_', ' ').replace('/', ': '), short(t.first), short(t.last)])));
  }

  function agreement({agreement, naming, teacher}) {
    if (!naming) return null;
    const names = {class: 'the same class', iou: 'IoU of their boxes', object: 'the same object'}, layers = agreement.class.map((_, k) => `layer ${k + 1}`);
    const of = `The teacher finds ${naming.found} of ${naming.objects} objects, ${naming.right} by their name${teacher === null ? '' : `; its AP is ${(100 * teacher).toFixed(1)}`}.`;
    return make('div', {'data-part': 'agreement'}, heading('Do student and teacher agree?', 'Of queries that are matched with one another, on the first images, layer by layer.'), table(['Of matched pairs', ...layers], Object.entries(names).map(([key, name]) => [name, ...agreement[key].map(part)])), make('p', {class: 'dd-faint'}, of));
  }

  return {panel, show};
}
