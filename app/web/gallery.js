// The images of the run as a strip, those first that are worth a look.
function gallery(host, app) {
  const look = {sort: 'order', category: '', page: 0};
  const question = latest('gallery');
  const parts = {tools: make('div', {class: 'tools'}), thumbs: make('div', {class: 'thumbs', role: 'listbox', 'aria-label': 'Images'}), where: make('span', {class: 'where'}), known: make('span', {class: 'known'})};
  const turn = (text, name, step) => make('button', {type: 'button', class: 'turn', 'aria-label': name, onclick: () => change({page: look.page + step})}, text);
  const back = turn('‹', 'Images before', -1), on = turn('›', 'Images after', 1);
  let view = null, again = 0;

  function change(what) {
    Object.assign(look, 'page' in what ? what : {...what, page: 0});
    load();
  }

  async function load() {
    clearTimeout(again);
    const {run, compare} = app.state.get();
    if (!compare && ['gained', 'lost'].includes(look.sort)) look.sort = 'order';
    try {
      const found = await question({run, compare, ...look});
      if (found) show(found);
    } catch (error) { app.say(error.message); }
  }

  function show(found) {
    view = found;
    look.page = view.page;
    const classes = [{id: '', title: 'all'}, ...(app.about()?.classes || []).map(c => ({id: c, title: c}))];
    const sort = view.sorts.find(s => s.id === look.sort);
    parts.tools.replaceChildren(choice('Sort by', view.sorts, look.sort, value => change({sort: value}), {says: sort && sort.says}), choice('With', classes, look.category, value => change({category: value}), {says: 'Images with an object of this class'}));
    parts.thumbs.replaceChildren(...view.items.map(thumb));
    parts.where.textContent = view.where;
    const open = view.known < view.total;
    parts.known.textContent = open && look.sort !== 'order' ? `${view.known} of ${view.total} looked at` : '';
    parts.known.title = 'Images are looked at one by one while you do nothing; the order gets better as they are';
    back.disabled = view.page <= 0;
    on.disabled = view.page >= view.pages - 1;
    host.dataset.known = view.known;
    host.dataset.sort = look.sort;
    mark();
    if (open) again = setTimeout(load, look.sort === 'order' ? 15000 : 3000);
  }

  function thumb(item) {
    const face = item.picture ? make('img', {src: item.picture, alt: '', draggable: 'false'}) : make('span', {class: 'broken'}, 'unreadable');
    return make('button', {type: 'button', class: 'thumb', role: 'option', title: item.name + (item.badge ? `: ${item.badge}` : ''), 'data-image': item.key, onclick: () => app.state.set({image: item.key}), onkeydown: step}, face, item.badge && make('b', null, item.badge));
  }

  function step(event) {
    const by = {ArrowRight: 'nextElementSibling', ArrowLeft: 'previousElementSibling'}[event.key];
    const next = by && event.currentTarget[by];
    if (!next) return;
    next.focus();
    next.click();
    event.preventDefault();
  }

  function mark() {
    for (const node of parts.thumbs.children) {
      const mine = node.dataset.image === app.state.get().image;
      node.setAttribute('aria-selected', String(mine));
      const [a, b] = [node.getBoundingClientRect(), parts.thumbs.getBoundingClientRect()];
      if (mine) parts.thumbs.scrollLeft += Math.max(0, a.right - b.right + 8) - Math.max(0, b.left + 8 - a.left);
    }
  }

  host.replaceChildren(make('div', {class: 'bar'}, parts.tools, make('span', {class: 'grow'}), parts.known, parts.where, back, on), parts.thumbs);
  app.state.watch((_, changed) => {
    if (changed.has('run') || changed.has('compare')) change({category: '', page: 0});
    else if (changed.has('image')) mark();
  });
  return {load};
}
