// The switches, and what is drawn anew when one is turned.

const PARTS = {
  controls: drawControls,
  views: drawViews,
  table: drawTable,
  legend: drawLegend,
  plots: () => { drawQualities(); drawScores(); drawRetention(); drawCost(); },
  filters: drawFilters,
  list: drawList,
};
let ready = false;

/** Draws the named parts anew, or all of them, and says in the address what is shown. */
function refresh(...names) {
  for (const name of names.length ? names : Object.keys(PARTS)) {
    if (ready || !['filters', 'list'].includes(name)) PARTS[name]();
  }
  if (ready) writeAddress();
}

function drawControls() {
  const change = (name) => (value) => {
    const focused = document.activeElement?.id;
    const pressed = document.activeElement?.dataset?.value;
    state[name] = value;
    refresh();
    if (focused) byId(focused)?.focus();
    else if (pressed !== undefined) byId('controls').querySelector(`[data-switch="${name}"] [data-value="${value}"]`)?.focus();
  };
  const all = (list, format = String) => [...(list.length > 1 ? [['', 'All']] : []), ...list.map((one) => [String(one), format(one)])];
  byId('controls').replaceChildren(
    select('Data set', all(values('dataset')), state.dataset, change('dataset'), 'control-dataset'),
    select('Model', all(values('model')), state.model, change('model'), 'control-model'),
    select('Edits', all(EDITS, whole), state.edits, change('edits'), 'control-edits'),
    switcher('Questions', [['raw', 'Raw'], ['clean', 'Clean']], state.split, change('split'), 'split'),
    switcher('Score', [['contains', 'Contains'], ['exact', 'Exact']], state.score, change('score'), 'score'),
  );
}

function drawQualities() {
  const box = byId('quality');
  const columns = columnsOf('main');
  if (!columns.some((one) => one.name === state.quality)) state.quality = columns[0]?.name ?? '';
  box.replaceChildren(...columns.map((one) => el('option', { value: one.name, selected: one.name === state.quality }, one.label)));
  box.onchange = () => { state.quality = box.value; drawCost(); writeAddress(); };
}

/** An address that names what the run does not have shows everything instead. */
function known() {
  for (const [name, there] of [['dataset', values('dataset')], ['model', values('model')], ['edits', EDITS.map(String)], ['method', METHODS]]) {
    if (state[name] && !there.includes(state[name])) state[name] = ALL;
  }
}

function follow() {
  readAddress();
  known();
  const linked = state.case && items.find((item) => isOpen(item) && chosen(item) && (!state.method || item.method === state.method));
  if (linked) {
    open(linked);
    narrow(true);
    byId('cases').scrollIntoView();
  } else refresh();
}

async function start() {
  readAddress();
  known();
  refresh();
  tips();
  for (const button of document.querySelectorAll('[data-to]')) {
    button.addEventListener('click', () => byId(button.dataset.to).scrollIntoView());
  }
  document.addEventListener('keydown', keys);
  try {
    await unpack();
  } catch (error) {
    byId('count').textContent = `The cases cannot be unpacked: ${error.message}. A browser of 2023 or later is needed.`;
    document.documentElement.dataset.ready = 'failed';
    return;
  }
  ready = true;
  follow();
  addEventListener('hashchange', follow);
  let width = byId('plots').clientWidth;
  new ResizeObserver(() => {
    if (byId('plots').clientWidth === width) return;
    width = byId('plots').clientWidth;
    requestAnimationFrame(PARTS.plots);
  }).observe(byId('plots'));
  document.documentElement.dataset.ready = 'yes';
}

start();
