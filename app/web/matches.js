// View 1: who was matched with whom, at what cost.
function matchesView(app) {
  const panel = make('section', {class: 'dd-card dd-query'});
  const query = queryPanel(panel, app), one = latest('query'), all = latest('matches');

  async function load() {
    const scene = app.stage.scene(), {run, compare} = app.state.get();
    if (!scene || scene.partial) return;
    const at = {key: scene.key, layer: app.stage.layer(), run, compare}, item = app.stage.chosen();
    try {
      const view = await (item ? one({...at, side: item.side, index: item.index}) : all(at));
      if (view && app.stage.scene() === scene && Boolean(item) === Boolean(app.stage.chosen())) {
        query.show(view);
        panel.dataset.shown = `${at.key} ${at.layer} ${item ? `${item.side}.${item.index}` : ''}`;
      }
    } catch (error) { app.say(error.message); }
  }

  return {id: 'matches', title: 'Matches', side: panel, needs: ['layer', 'side', 'index'], load};
}
