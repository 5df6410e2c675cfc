// The table of scores: sortable by every column, by pointer and by keyboard.

const TABLES = [
  ['main', 'Main'], ['kinds', 'By kind'], ['after', 'Right after'], ['other', 'Other'], ['scope', 'Scope'], ['cost', 'Cost'], ['legacy', 'Legacy'],
];

const scopeColumns = () => Object.entries(report.outcomes)
  .map(([name, label]) => ({ name, label, share: true, get: (row) => row.scope[name] ?? null }));

/** What preservation means under a score. */
const SAME = { contains: 'normalised', exact: 'byte for byte' };

/** The columns of figures of a view; `least` says that a small figure is a good one. */
function columnsOf(view) {
  if (view === 'scope') return scopeColumns();
  if (view === 'cost') {
    return report.costs.map(({ name, label }) => ({
      name, label, share: false, least: true,
      get: (row) => (row.cost[name] === null || row.cost[name] === undefined ? null : [row.cost[name], null, null, null]),
    }));
  }
  return report.dimensions.filter((one) => one.group === view).map((one) => ({
    ...one, label: one.labels[state.score], get: (row) => figure(row, one.name),
    hint: one.name === 'harmonic_mean' ? `of reliability, generalization, portability and preservation (${SAME[state.score]})` : null,
  }));
}

const VIEWS = TABLES.filter(([view]) => columnsOf(view).length);

function textColumns() {
  const columns = [{ name: 'method', label: 'Method' }];
  for (const [name, label] of [['dataset', 'Data set'], ['model', 'Model'], ['edits', 'Edits']]) {
    if (!state[name] && values(name).length > 1) columns.push({ name, label, number: name === 'edits' });
  }
  return columns;
}

/** The scope table has lines of its own: only methods that show facts, and cosine at its best, which is no method. */
const tableLines = () => (state.view === 'scope' ? report.scope : report.rows);
const tableRows = () => tableLines().filter((row) => chosen(row) && row.split === state.split);

const oracleOf = (row) => tableLines().find((other) => other.method === 'oracle' && other.split === row.split
  && other.dataset === row.dataset && other.model === row.model && other.edits === row.edits);

function ordered(rows, texts, figures) {
  if (!state.sort) return rows;
  const falling = state.sort.startsWith('-');
  const name = state.sort.replace(/^-/, '');
  const text = texts.find((one) => one.name === name);
  const column = figures.find((one) => one.name === name);
  if (!text && !column) return rows;
  const key = (row) => (text ? row[name] : column.get(row)?.[0]);
  const compare = (a, b) => (typeof a === 'string' ? a.localeCompare(b, 'en', { numeric: true }) : a - b);
  return [...rows].sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    // What was not measured stands last, whichever way is up.
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return falling ? compare(b, a) : compare(a, b);
  });
}

function heading(column, isText) {
  const name = state.sort.replace(/^-/, '');
  const direction = name !== column.name ? 'none' : state.sort.startsWith('-') ? 'descending' : 'ascending';
  const first = isText || column.least ? column.name : `-${column.name}`;
  const second = first.startsWith('-') ? column.name : `-${column.name}`;
  const sort = () => {
    state.sort = state.sort === first ? second : first;
    refresh('table');
    byId('table').querySelector(`th[data-column="${CSS.escape(column.name)}"] button`)?.focus();
  };
  const arrow = { none: '', ascending: '▲', descending: '▼' }[direction];
  return el('th', {
    scope: 'col', 'aria-sort': direction, 'data-column': column.name, class: isText && !column.number ? null : 'number',
  }, el('button', { type: 'button', onclick: sort, 'data-tip': column.hint },
    column.label, el('span', { class: 'arrow', 'aria-hidden': 'true' }, arrow)));
}

/** A thin line from 0 to 100 with the interval as a band and the value as a mark. */
function strip([value, low, high]) {
  const at = (share) => Math.min(100, Math.max(0, share * 100));
  return draw('svg', { class: 'strip', viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    draw('rect', { class: 'track', x: 0, y: 1.5, width: 100, height: 1 }),
    low === null ? null : draw('rect', { class: 'band', x: at(low), y: 0.5, width: Math.max(0.8, at(high) - at(low)), height: 3 }),
    draw('rect', { class: 'mark', x: Math.min(98.4, Math.max(0, at(value) - 0.8)), y: 0, width: 1.6, height: 4 }));
}

function cell(row, column, best) {
  const found = column.get(row);
  if (!found) return el('td', { class: 'number none' }, el('span', { 'aria-label': 'not measured' }, '–'));
  const [value, low, high, n] = found;
  const attributes = { class: best ? 'number best' : 'number', 'data-value': value };
  if (!column.share) return el('td', attributes, el('span', { class: 'value' }, plain(value)));
  const reference = oracleOf(row);
  const limit = reference ? column.get(reference)?.[0] : null;
  const share = limit ? `${percent(value / limit)} % of the oracle` : null;
  const tip = [
    `${row.method}: ${percent(value)} %`, low === null ? null : `95 % interval ${percent(low)} to ${percent(high)}`,
    n === null ? null : `${whole(n)} records`, share,
  ].filter(Boolean).join(' · ');
  if (state.share) {
    return el('td', { ...attributes, 'data-tip': tip }, el('span', { class: 'value' }, limit ? percent(value / limit) : '–'));
  }
  const interval = low === null ? null : el('span', { class: 'interval' }, `${percent(low)}–${percent(high)}`);
  return el('td', { ...attributes, 'data-tip': tip }, el('span', { class: 'value' }, percent(value)), interval, strip(found));
}

/** The best figure of a column among rows that compete, if they differ; within one data set, model and number of edits only. */
function bestOf(rows, column) {
  const groups = new Set(rows.map((row) => JSON.stringify([row.dataset, row.model, row.edits])));
  const figures = rows.filter((row) => !report.references.includes(row.method)).map((row) => column.get(row)?.[0])
    .filter((value) => value !== undefined);
  if (groups.size !== 1 || new Set(figures).size < 2) return null;
  return column.least ? Math.min(...figures) : Math.max(...figures);
}

function drawViews() {
  if (!VIEWS.some(([view]) => view === state.view)) state.view = VIEWS[0]?.[0] ?? 'main';
  byId('views').replaceChildren(
    switcher('', VIEWS, state.view, (view) => { state.view = view; refresh('views', 'table'); }, 'view'),
    ['main', 'kinds', 'after'].includes(state.view) && METHODS.includes('oracle')
      ? switcher('', [['', 'Score'], ['1', 'Share of oracle']], state.share,
        (share) => { state.share = share; refresh('views', 'table'); }, 'share') : '',
  );
}

function drawTable() {
  const figures = columnsOf(state.view);
  const texts = textColumns();
  const rows = tableRows();
  const best = new Map(figures.map((column) => [column, state.view === 'scope' ? null : bestOf(rows, column)]));
  const body = ordered(rows, texts, figures).map((row) => el('tr', {
    class: report.references.includes(row.method) ? 'reference' : null, 'data-method': row.method,
  }, texts.map((column) => (column.name === 'method'
    ? el('th', { scope: 'row' }, row.method === report.cosine ? row.method : el('button', {
      type: 'button', class: 'method', dir: 'auto', 'data-tip': `Browse the cases of ${row.method}`, onclick: () => browse(row),
    }, row.method))
    : el('td', { class: column.number ? 'number' : null, dir: 'auto' }, column.number ? whole(row[column.name]) : row[column.name]))),
  figures.map((column) => cell(row, column, best.get(column) !== null && column.get(row)?.[0] === best.get(column)
    && !report.references.includes(row.method)))));
  byId('table').replaceChildren(el('table', {}, el('thead', {}, el('tr', {},
    texts.map((column) => heading(column, true)), figures.map((column) => heading(column, false)))), el('tbody', {}, body)));
  byId('table-note').textContent = rows.length ? tableNote() : 'No row has these settings.';
}

function tableNote() {
  if (state.view === 'cost') return 'Bold: the least among the methods. The references bare and oracle do not compete.';
  if (state.view === 'legacy') return 'Teacher-forced figures, which hide failures of free generation, and what older papers report. Bold: the best method.';
  if (state.view === 'scope') {
    const cosine = tableRows().some((row) => row.method === report.cosine) ? 'there' : 'missing';
    return `${report.scopeNotes.all} ${report.scopeNotes[cosine]}`;
  }
  const split = state.split === 'clean' ? 'without the questions that the data set has wrong' : 'every question';
  const unit = state.share && ['main', 'kinds', 'after'].includes(state.view) ? 'Per cent of the oracle’s score' : 'Per cent, with the 95 % interval';
  return `${unit}; ${state.score}, ${split}. Bold: the best method; bare and oracle are references. `
    + 'A method’s name opens its cases.';
}
