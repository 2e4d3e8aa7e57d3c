// View 3: who held each object, layer by layer, how firmly, and where it flipped.
const ROOM = 6; // cells of a ribbon beside which their margins fit; all have them in their title
function stabilityView(app) {
  const side = make('div', {class: 'dd-stability'});
  const question = latest('stability'), history = latest('epochs');
  let view = null, past = null, over = 'layers', shownFor = '', again = 0;

  async function load(changed) {
    const scene = app.stage.scene(), {run, compare} = app.state.get();
    clearTimeout(again);
    if (!scene || scene.partial) return;
    if (view && shownFor === [scene.key, run, compare].join() && changed) return mark();
    try {
      const found = await question({key: scene.key, run, compare});
      if (!found || app.stage.scene() !== scene) return;
      [view, shownFor] = [found, [scene.key, run, compare].join()];
      past = over === 'epochs' ? await history({key: scene.key, run, compare}) : null;
      build();
      if (view.known < view.total) again = setTimeout(() => app.current() === 'stability' && load(), 5000);
    } catch (error) { app.say(error.message); }
  }

  const card = (name, ...children) => make('section', {class: `dd-card dd-${name}`}, ...children);

  function build() {
    const ways = [{id: 'layers', title: 'Decoder layers', says: 'From the first layer to the last, with the weights as they are'}, {id: 'epochs', title: 'Epochs', says: 'In the last layer at the end of each epoch, where the run recorded it'}];
    const flips = view.bands.map(b => make('span', {class: b.role}, make('i', {class: 'swatch'}), `${b.title}: ${b.flips} ${b.flips === 1 ? 'flip' : 'flips'}`));
    side.replaceChildren(
      card('ribbons', make('header', null, heading('Who held each object', 'A band for each network: the query that answers for the object. A cut is a flip: another query from here on. Pale means a small margin, a match that nearly flipped.', 'margin = min{Σ cost : without the pair} − min{Σ cost}'), make('span', null, segments('Over', ways, over, way => { over = way; load(); }))), view.says && make('p', {class: 'dd-faint'}, view.says), over === 'layers' ? make('div', {class: 'dd-few'}, flips) : '', ribbons()),
      card('instability', heading('How often matches change', 'Queries whose object is another than in the layer before; one object that goes from one query to another counts two. Solid: this image. Dashed: the mean over the images that were looked at.', 'IS_k = Σₙ 1[ Vₙ(k) ≠ Vₙ(k−1) ]'), measured(), make('p', {class: 'dd-faint', 'data-known': view.known}, `${view.known} of ${view.total} images of the set looked at`)));
    mark();
  }

  function ribbons() {
    if (!view.objects.length) return make('p', null, 'This image has no object.');
    if (over === 'layers') return make('div', {class: 'dd-rows'}, scale(), view.objects.map(o => object(o, view.bands)));
    if (!past || !past.bands.length) return make('p', null, past ? past.says : '');
    const last = past.bands[0].epochs;
    const head = make('div', {class: 'dd-row'}, make('span', {class: 'name dd-faint'}, 'epoch'), make('div', {class: 'dd-layers'}, last.map(e => make('span', {class: 'dd-faint'}, String(e)))));
    return make('div', {class: 'dd-rows'}, head, view.objects.map(o => object(o, past.bands)));
  }

  function scale() {
    return make('div', {class: 'dd-row'}, make('span', {class: 'name dd-faint'}, 'layer'), make('div', {class: 'dd-layers'}, Array.from({length: view.layers}, (_, k) => make('button', {type: 'button', 'data-layer': k, onclick: () => app.stage.setLayer(k)}, String(k + 1)))));
  }

  function object(o, bands) {
    const name = make('button', {type: 'button', class: 'dd-link truth', onclick: () => app.stage.choose({side: 'truth', index: o.index})}, `${o.index} ${o.name}`);
    return make('div', {class: 'dd-row', 'data-object': o.index}, make('span', {class: 'name'}, name, o.change && o.change !== 'kept' && make('small', {class: `change ${o.change}`}, o.change)), make('div', {class: 'dd-bands'}, bands.map(b => ribbon(b, b.cells[o.index]))));
  }

  function ribbon(band, cells) {
    return make('div', {class: `dd-ribbon ${band.role}`, 'data-side': band.side, style: `--n:${cells.length}`}, cells.map((cell, k) => piece(band, cells, cell, k)));
  }

  // Where the layer of a network stands on the slider, which counts the student's.
  const layerOf = (band, k) => Math.max(0, band.at.findIndex(at => at >= k));

  function piece(band, cells, cell, k) {
    const before = cells[k - 1], flip = before && before.query !== cell.query;
    const firm = cell.margin === null ? 1 : 1 - Math.exp(-cell.margin / 0.7);
    const now = cell.query < 0 ? 'nobody' : `query ${cell.query}`;
    const says = `${band.title}, ${band.epochs ? `epoch ${band.epochs[k]}` : `layer ${k + 1}`}: ${now}` + (cell.cost === null ? '' : `, cost ${fixed(cell.cost)}`) + (cell.margin === null ? '' : `, margin ${fixed(cell.margin)}`) + (cell.heir >= 0 ? `, then query ${cell.heir}` : '') + (flip ? `. A flip: query ${before.query} held it with a margin of ${before.margin === null ? 'none' : fixed(before.margin)}` : '');
    return make('button', {type: 'button', class: `piece${flip ? ' flip' : ''}${before && !flip ? ' goes-on' : ''}`, title: says, 'aria-label': says, 'data-query': cell.query, 'data-margin': cell.margin, style: `--firm:${firm.toFixed(2)}`, onclick: () => go(band, cell, k)}, make('b', null, cell.query < 0 ? '–' : String(cell.query)), cell.margin !== null && cells.length <= ROOM && make('small', null, short(cell.margin)));
  }

  function go(band, cell, k) {
    app.state.set({layer: band.epochs ? past.layer : layerOf(band, k), ...(cell.query >= 0 ? {side: band.side, index: cell.query} : {})});
  }

  function measured() {
    const steps = values => values.map((v, k) => [k + 2, v]);
    const series = view.bands.filter(b => b.instability.length).flatMap(b => [{title: b.title, role: b.role, points: steps(b.instability)}, ...(b.set.length ? [{title: `${b.title}, set`, role: b.role, dashed: true, points: steps(b.set)}] : [])]);
    return curves('Instability', series, ['to layer', 'IS'], {zero: true, whole: true});
  }

  function mark() {
    if (!view) return;
    const {side: name, index} = app.state.get(), layer = app.stage.layer();
    for (const node of side.querySelectorAll('.dd-layers button')) node.setAttribute('aria-current', String(Number(node.dataset.layer) === layer));
    for (const band of over === 'layers' ? view.bands : past?.bands || []) for (const ribbon of side.querySelectorAll(`.dd-ribbon[data-side=${band.side}]`)) [...ribbon.children].forEach((node, k) => {
      node.classList.toggle('here', !band.epochs && band.at[layer] === k);
      node.classList.toggle('chosen', name === band.side && Number(node.dataset.query) === index);
    });
  }

  return {id: 'stability', title: 'Stability', side, needs: ['layer', 'side', 'index'], load};
}
