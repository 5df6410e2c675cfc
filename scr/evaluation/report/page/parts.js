'use strict';
// Parts that everything else is made of. Text from the run only ever becomes a text node: nothing here parses HTML.

const report = JSON.parse(document.getElementById('report-data').textContent);
const ALL = '';
const SVG = 'http://www.w3.org/2000/svg';
const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** The values of a column of the table, in the order in which they come. */
const values = (name) => [...new Set(report.rows.map((row) => row[name]))];
const METHODS = values('method');
const EDITS = values('edits').sort((a, b) => a - b);

/** Colour and shape tell methods apart, so that neither is needed alone; references are grey. */
const STYLES = new Map();
{
  let place = 0;
  for (const method of METHODS) {
    const reference = report.references.indexOf(method);
    STYLES.set(method, reference < 0
      ? { colour: `m${place % 8}`, shape: place++ % 6 }
      : { colour: `r${reference}`, shape: 6 + reference });
  }
}

const DEFAULTS = {
  dataset: values('dataset')[0] ?? ALL,
  model: values('model')[0] ?? ALL,
  edits: String(EDITS.at(-1) ?? ALL),
  split: 'raw',
  score: 'contains',
  share: '',
  view: 'main',
  sort: '',
  quality: 'harmonic_mean',
  method: METHODS.find((method) => !report.references.includes(method)) ?? ALL,
  kind: ALL,
  outcome: ALL,
  text: '',
  page: '0',
  case: '',
  q: '',
};
const state = { ...DEFAULTS };

/** The address carries what is shown, so that a link to it shows the same. */
function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(DEFAULTS)) state[name] = given.get(name) ?? DEFAULTS[name];
}

function writeAddress() {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value !== DEFAULTS[name]) given.set(name, value);
  history.replaceState(null, '', `#${given}`);
}

const chosen = (row) => (!state.dataset || row.dataset === state.dataset)
  && (!state.model || row.model === state.model)
  && (!state.edits || String(row.edits) === state.edits);

/** A figure as [value, low, high, n]; null where it was not measured. */
function figure(row, dimension) {
  const figures = row.scores[dimension] ?? {};
  const found = figures[state.score] ?? (dimension.startsWith('legacy_') ? figures.exact : null);
  return found && found[0] !== null ? found : null;
}

const percent = (value) => (value * 100).toFixed(1);
const whole = (value) => value.toLocaleString('en-US');

function plain(value) {
  if (value === 0) return '0';
  if (Math.abs(value) >= 1000) return whole(Math.round(value));
  return Math.abs(value) >= 100 ? value.toFixed(0) : Math.abs(value) >= 1 ? value.toFixed(2) : String(+value.toPrecision(3));
}

function select(label, options, value, change, id) {
  const box = el('select', { id, onchange: (event) => change(event.target.value) });
  for (const [key, text] of options) box.append(el('option', { value: key, selected: key === value }, text));
  return el('label', { class: 'field' }, el('span', {}, label), box);
}

/** Buttons of which one is pressed. */
function switcher(label, options, value, change, name) {
  const buttons = options.map(([key, text]) => el('button', {
    type: 'button', 'data-value': key, 'aria-pressed': String(key === value), onclick: () => change(key),
  }, text));
  return el('div', { class: 'field', 'data-switch': name }, label ? el('span', {}, label) : null,
    el('div', { class: 'segments', role: 'group', 'aria-label': label || name }, buttons));
}

/** What the pointer rests on is said beside it. */
function tips() {
  const tip = byId('tip');
  document.addEventListener('pointermove', (event) => {
    const text = event.target.closest?.('[data-tip]')?.getAttribute('data-tip');
    tip.hidden = !text;
    if (!text) return;
    tip.textContent = text;
    const box = tip.getBoundingClientRect();
    const x = Math.min(event.clientX + 14, document.documentElement.clientWidth - box.width - 8);
    const y = event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18;
    tip.style.left = `${Math.max(8, x)}px`;
    tip.style.top = `${y}px`;
  });
  document.addEventListener('scroll', () => { tip.hidden = true; }, { passive: true, capture: true });
}
