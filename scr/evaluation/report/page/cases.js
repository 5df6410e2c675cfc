// The list of questions: filters, pages, and keys that go through it.

const A_PAGE = 50;
let texts = [];
let items = [];
let shown = [];

const KINDS = [['', 'All'], ['reliability', 'Reliability'], ['generalization', 'Generalization'], ['portability', 'Portability'], ['locality', 'Locality']];
const scoreOf = (item) => (state.score === 'exact' ? item.exact : item.contains);
const inScope = (item) => item.kind !== 'locality';
const OUTCOMES = [
  ['', 'All', () => true],
  ['failed', 'Failed', (item) => (inScope(item) ? scoreOf(item) === false : item.preserved === false)
    || item.flags.includes('false_fire') || item.flags.includes('wrong_fact')],
  ['false_fire', 'False fire', (item) => item.flags.includes('false_fire')],
  ['wrong_fact', 'Wrong fact', (item) => item.flags.includes('wrong_fact')],
  ['no_fact', 'No fact shown', (item) => item.flags.includes('no_fact')],
  ['not_preserved', 'Not preserved', (item) => item.preserved === false],
  ['not_right', 'Not right', (item) => scoreOf(item) === false],
  ['right', 'Right', (item) => scoreOf(item) === true],
  ['flawed', 'Flawed question', (item) => item.flaws.length > 0],
  ['cut', 'Cut at the length', (item) => item.finish === 'length'],
];
const outcome = (name) => OUTCOMES.find(([key]) => key === name)?.[2] ?? OUTCOMES[0][2];

/** A question as html.py writes it, taken apart by name. */
function itemOf(key, raw, place) {
  const [id, q, prompt, kind, sub, answers, answer, bare, facts, considered, given, calls, [exact, contains, preserved],
    finish, flaws, after, forced, own, flags] = raw;
  return { ...key, place, id, q, prompt, kind, sub, answers, answer, bare, facts, considered, given, calls, exact, contains,
    preserved, finish, flaws, after, forced, own, flags };
}

async function unpack() {
  const holder = byId('report-cases');
  const bytes = Uint8Array.from(atob(holder.textContent.trim()), (letter) => letter.charCodeAt(0));
  holder.remove();
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  const document_ = JSON.parse(await new Response(stream).text());
  texts = document_.texts;
  items = document_.rows.flatMap((row, at) => {
    const { dataset, model, method, edits } = report.kept[at];
    return row.map((raw, place) => itemOf({ dataset, model, method, edits }, raw, place));
  });
}

/** Looks in each text once, however many questions share it. */
function finder() {
  const wanted = state.text.trim().toLowerCase();
  if (!wanted) return () => true;
  const found = new Set();
  texts.forEach((text, number) => { if (text.toLowerCase().includes(wanted)) found.add(number); });
  return (item) => found.has(item.prompt) || found.has(item.answer) || found.has(item.bare) || found.has(item.id)
    || [...item.answers, ...item.facts, ...item.own].some((number) => found.has(number));
}

function filtered() {
  const [fits, finds] = [outcome(state.outcome), finder()];
  return items.filter((item) => chosen(item) && (!state.method || item.method === state.method)
    && (!state.kind || item.kind === state.kind) && (state.split === 'raw' || !item.flaws.length) && fits(item) && finds(item));
}

function drawFilters() {
  const change = (name) => (value) => { state[name] = value; state.page = '0'; forget(); refresh('filters', 'list'); byId(`filter-${name}`)?.focus(); };
  const options = (list) => list.map(([key, label]) => [key, label]);
  byId('filters').replaceChildren(
    select('Method', [['', 'All'], ...METHODS.map((name) => [name, name])], state.method, change('method'), 'filter-method'),
    select('Kind', options(KINDS), state.kind, change('kind'), 'filter-kind'),
    select('Outcome', options(OUTCOMES), state.outcome, change('outcome'), 'filter-outcome'),
    el('label', { class: 'field grow' }, el('span', {}, 'Search'), el('input', {
      id: 'search', type: 'search', value: state.text, placeholder: 'question, answer or fact', autocomplete: 'off', spellcheck: 'false', dir: 'auto',
      oninput: (event) => { state.text = event.target.value; state.page = '0'; forget(); refresh('list'); },
    })),
  );
}

/** The question that was open may not be among those that a new filter leaves. */
function forget() {
  state.case = '';
  state.q = '';
}

const isOpen = (item) => texts[item.id] === state.case && String(item.q) === state.q;
const openPlace = () => shown.findIndex(isOpen);

function verdict(item) {
  if (outcome('failed')(item)) return ['✗', 'bad', 'failed'];
  if (scoreOf(item) === true) return ['✓', 'good', 'right'];
  if (item.preserved) return ['=', 'good', 'preserved'];
  return ['·', '', 'not scored'];
}

function drawList() {
  shown = filtered();
  let place = openPlace();
  if (place < 0 && shown.length) {
    place = 0;
    [state.case, state.q] = [texts[shown[0].id], String(shown[0].q)];
  }
  state.page = String(Math.floor(Math.max(0, place) / A_PAGE));
  drawPage();
  byId('count').textContent = countWords();
  drawDetail(shown[place] ?? null);
}

/** How many there are, and how many more the run has than this page holds. */
function countWords() {
  const rows = report.kept.filter((row) => chosen(row) && (!state.method || row.method === state.method));
  const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
  const [total, kept, failed, failedKept] = [sum('total'), sum('kept'), sum('failed'), sum('shown')];
  const found = `${whole(shown.length)} ${shown.length === 1 ? 'question' : 'questions'}.`;
  if (!total) return 'The run has no cases of these rows.';
  if (total === kept) return found;
  const which = failed === failedKept ? `all ${whole(failed)} failures` : `${whole(failedKept)} of ${whole(failed)} failures`;
  return `${found} This page holds ${whole(kept)} of ${whole(total)} of these rows, ${which} among them; `
    + `${whole(total - kept)} are left out and stand in the run’s folder.`;
}

function drawPage() {
  const page = Number(state.page);
  const from = page * A_PAGE;
  const last = Math.max(0, Math.ceil(shown.length / A_PAGE) - 1);
  byId('list').replaceChildren(...shown.slice(from, from + A_PAGE).map((item, at) => listed(item, from + at)));
  if (!shown.length) byId('list').append(el('li', { class: 'empty' }, 'No question passes these filters.'));
  const turn = (by) => () => { go((page + by) * A_PAGE); };
  byId('pages').replaceChildren(
    el('button', { type: 'button', id: 'page-back', disabled: page <= 0, onclick: turn(-1), 'aria-label': 'Previous page of the list' }, '‹'),
    el('span', {}, shown.length ? `${whole(from + 1)}–${whole(Math.min(shown.length, from + A_PAGE))} of ${whole(shown.length)}` : '0'),
    el('button', { type: 'button', id: 'page-on', disabled: page >= last, onclick: turn(1), 'aria-label': 'Next page of the list' }, '›'),
  );
  select_();
}

function listed(item, place) {
  const [sign, tone, said] = verdict(item);
  const flags = [...item.flags.map((flag) => flag.replaceAll('_', ' ')), ...(item.preserved === false ? ['not preserved'] : [])];
  return el('li', { role: 'option', id: `item-${place}`, 'data-place': place, onclick: () => { go(place); narrow(true); } },
    el('span', { class: `sign ${tone}`, role: 'img', 'aria-label': said }, sign),
    el('span', { class: 'what' },
      el('span', { class: 'question', dir: 'auto' }, shorten(texts[item.prompt], 160)),
      el('span', { class: 'meta' }, el('span', {}, item.sub ? item.sub.replaceAll('_', ' ') : item.kind),
        state.method ? null : el('span', { dir: 'auto' }, item.method),
        flags.map((flag) => el('span', { class: 'bad' }, flag)))));
}

/** Marks the open one in the list and brings it into the list's view, and not the page's. */
function select_() {
  const place = openPlace();
  for (const node of byId('list').querySelectorAll('[role=option]')) {
    node.setAttribute('aria-selected', String(Number(node.dataset.place) === place));
  }
  const node = byId(`item-${place}`);
  const list = byId('list');
  if (!node) return;
  list.setAttribute('aria-activedescendant', node.id);
  const [top, height] = [node.offsetTop - list.offsetTop, node.offsetHeight];
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + height > list.scrollTop + list.clientHeight) list.scrollTop = top + height - list.clientHeight;
}

/** Opens the question at a place of the list, as near as there is one. */
function go(place) {
  if (!shown.length) return;
  const at = Math.min(shown.length - 1, Math.max(0, place));
  [state.case, state.q] = [texts[shown[at].id], String(shown[at].q)];
  const page = String(Math.floor(at / A_PAGE));
  if (page === state.page) select_();
  else {
    state.page = page;
    drawPage();
  }
  drawDetail(shown[at]);
  writeAddress();
}

/** Opens a question wherever it is; filters that would hide it are taken off. */
function open(item) {
  Object.assign(state, { dataset: state.dataset && item.dataset, model: state.model && item.model,
    edits: state.edits && String(item.edits), method: item.method });
  [state.case, state.q] = [texts[item.id], String(item.q)];
  if (!filtered().includes(item)) Object.assign(state, { kind: ALL, outcome: ALL, text: '', split: 'raw' });
  refresh();
}

/** Where the screen is narrow, the list gives way to the question. */
function narrow(reading) {
  document.querySelector('.browser').classList.toggle('reading', reading);
  if (reading && matchMedia('(max-width: 760px)').matches) document.querySelector('.browser').scrollIntoView();
}

/** From a row of the table to its cases. */
function browse(row) {
  Object.assign(state, { dataset: row.dataset, model: row.model, edits: String(row.edits), method: row.method, kind: ALL, outcome: ALL, text: '' });
  forget();
  refresh();
  narrow(false);
  byId('cases').scrollIntoView();
  byId('list').focus({ preventScroll: true });
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target;
  if (target.matches?.('input, select, textarea')) {
    if (event.key === 'Escape') target.blur();
    return;
  }
  const inList = target.id === 'list';
  const step = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? (inList ? { ArrowDown: 1, ArrowUp: -1,
    PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key] : undefined);
  // A region that scrolls sideways keeps its arrows.
  const scrolls = event.key.startsWith('Arrow') && target.closest?.('.scroll, .segments');
  if (event.key === '/') byId('search').focus();
  else if (step === undefined || scrolls || !shown.length) return;
  else go(openPlace() + step);
  event.preventDefault();
}
