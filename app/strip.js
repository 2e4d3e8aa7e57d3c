// A page of the run's images; one is chosen by click or key.
const root = element.querySelector('.dd-strip');

function thumb(item, chosen) {
  return make('button', {type: 'button', class: 'thumb', 'aria-pressed': String(item.id === chosen), title: item.name, 'data-image': item.id, onclick: () => pick(item.id)}, make('img', {src: item.picture, alt: item.name}));
}

function pick(id) {
  for (const b of root.querySelectorAll('.thumb')) b.setAttribute('aria-pressed', String(b.dataset.image === String(id)));
  trigger('pick', {image: id});
}

function turn(page, pages) {
  return make('button', {type: 'button', class: 'turn', disabled: page < 0 || page >= pages, 'aria-label': 'Other images', onclick: () => trigger('turn', {page})});
}

function show() {
  const view = props.value ? JSON.parse(props.value) : null;
  if (!view) return;
  const back = turn(view.page - 1, view.pages), on = turn(view.page + 1, view.pages);
  back.textContent = '‹';
  on.textContent = '›';
  root.replaceChildren(back, make('div', {class: 'thumbs'}, view.items.map(item => thumb(item, view.chosen))), on, make('span', {class: 'where'}, view.where));
}

show();
watch('value', show);
