// A page of the run's images; one is chosen by click or key.
const root = element.querySelector('.dd-strip');
let current = '';

function thumb(item) {
  const face = item.picture ? make('img', {src: item.picture, alt: item.name}) : 'unreadable';
  return make('button', {type: 'button', class: 'thumb', title: item.name, 'data-image': item.id, onclick: () => pick(item.id)}, face);
}

function pick(id) {
  mark(`image/${id}`);
  trigger('pick', {image: id});
}

function mark(key) {
  current = key;
  for (const b of root.querySelectorAll('.thumb')) b.setAttribute('aria-pressed', String(`image/${b.dataset.image}` === key));
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
  root.replaceChildren(back, make('div', {class: 'thumbs'}, view.items.map(thumb)), on, make('span', {class: 'where'}, view.where));
  mark(current);
}

show();
watch('value', show);
hear('scene', detail => mark(detail.key));
