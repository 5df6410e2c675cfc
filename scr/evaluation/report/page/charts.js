// Plots, drawn anew for the width that there is. Every mark has a shape, a colour and words.

const MARKS = [
  (r) => draw('circle', { r }),
  (r) => draw('path', { d: `M${-r} ${-r}H${r}V${r}H${-r}Z` }),
  (r) => draw('path', { d: `M0 ${-r * 1.35}L${r * 1.35} 0L0 ${r * 1.35}L${-r * 1.35} 0Z` }),
  (r) => draw('path', { d: `M0 ${-r * 1.25}L${r * 1.2} ${r}H${-r * 1.2}Z` }),
  (r) => draw('path', { d: `M0 ${r * 1.25}L${r * 1.2} ${-r}H${-r * 1.2}Z` }),
  (r) => draw('path', { d: `M${-r * 0.45} ${-r * 1.2}h${r * 0.9}v${r * 0.75}h${r * 0.75}v${r * 0.9}h${-r * 0.75}v${r * 0.75}h${-r * 0.9}v${-r * 0.75}h${-r * 0.75}v${-r * 0.9}h${r * 0.75}Z` }),
  (r) => draw('circle', { r, class: 'hollow' }),
  (r) => draw('path', { d: `M0 ${-r * 1.35}L${r * 1.35} 0L0 ${r * 1.35}L${-r * 1.35} 0Z`, class: 'hollow' }),
];

function mark(method, x, y, r = 4.5) {
  const { colour, shape } = STYLES.get(method);
  return draw('g', { class: `mark ${colour}`, transform: `translate(${x} ${y})` }, MARKS[shape](r));
}

function drawLegend() {
  byId('legend').replaceChildren(...METHODS.map((method) => el('li', {
    'data-method': method, onpointerenter: () => highlight(method), onpointerleave: () => highlight(null),
  }, draw('svg', { width: 16, height: 16, viewBox: '-8 -8 16 16', 'aria-hidden': 'true' }, mark(method, 0, 0)),
  el('span', { dir: 'auto' }, method))));
}

function highlight(method) {
  for (const node of document.querySelectorAll('.panels [data-method]')) {
    node.classList.toggle('faint', method !== null && node.getAttribute('data-method') !== method);
  }
}

/** Each data set, model and, unless `overEdits`, number of edits that is shown. */
function groupsOf(overEdits) {
  const groups = new Map();
  for (const row of report.rows) {
    const shown = overEdits ? chosen({ ...row, edits: state.edits }) : chosen(row);
    if (!shown || row.split !== state.split) continue;
    const key = JSON.stringify([row.dataset, row.model, overEdits ? null : row.edits]);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  }
  return [...groups.values()];
}

function groupName(rows, overEdits) {
  const parts = [];
  if (!state.dataset) parts.push(rows[0].dataset);
  if (!state.model) parts.push(rows[0].model);
  if (!state.edits && !overEdits) parts.push(`${whole(rows[0].edits)} ${rows[0].edits === 1 ? 'edit' : 'edits'}`);
  return parts.join(' · ');
}

const words = (found) => `${percent(found[0])} %${found[1] === null ? '' : ` (${percent(found[1])} to ${percent(found[2])})`}`;

function shorten(text, most) {
  const letters = [...text];
  return letters.length <= most ? text : `${letters.slice(0, most - 1).join('')}…`;
}

function panel(title, subtitle, width, height, label, content) {
  return el('figure', {}, el('figcaption', {}, el('b', {}, title), subtitle ? el('span', { dir: 'auto' }, subtitle) : null),
    draw('svg', { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label }, content));
}

/** How wide a panel may be where as many stand side by side as fit. */
function panelWidth(target, least, most) {
  const style = getComputedStyle(target);
  const room = target.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
  const count = Math.max(1, Math.min(most, Math.floor((room + 24) / (least + 24))));
  return Math.max(200, Math.floor((room - 24 * (count - 1)) / count));
}

function drawScores() {
  const target = byId('plot-scores');
  const columns = columnsOf('main').filter((one) => one.name !== 'harmonic_mean');
  // Where all fit in one line, the names stand once, at its left.
  const gutter = 112;
  const shared = Math.floor((target.clientWidth - gutter - 24 * (columns.length - 1)) / columns.length);
  const width = shared >= 150 ? shared : panelWidth(target, 250, 5);
  const panels = groupsOf(false).flatMap((rows) => columns.map((column, place) => (shared < 150
    ? scoresPanel(rows, column, width, Math.min(gutter, width * 0.36))
    : scoresPanel(rows, column, place ? width : width + gutter, place ? 8 : gutter + 8))));
  target.replaceChildren(...(panels.length ? panels : [el('p', { class: 'note' }, 'Nothing to plot with these settings.')]));
}

function scoresPanel(rows, column, width, left) {
  const named = left > 20;
  const right = width - 10;
  const step = 22;
  const bottom = rows.length * step + 8;
  const x = (value) => left + Math.min(1, Math.max(0, value)) * (right - left);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((value) => draw('g', {},
    draw('line', { class: 'grid', x1: x(value), x2: x(value), y1: 4, y2: bottom }),
    draw('text', { class: 'tick', x: x(value), y: bottom + 15, 'text-anchor': 'middle' }, String(value * 100))));
  const marks = rows.map((row, place) => {
    const y = 15 + place * step;
    const found = column.get(row);
    const tip = found ? `${row.method}, ${column.label.toLowerCase()}: ${words(found)}` : `${row.method}: not measured`;
    return draw('g', { 'data-method': row.method, 'data-tip': tip, onpointerenter: () => highlight(row.method), onpointerleave: () => highlight(null) },
      draw('rect', { class: 'hit', x: 0, y: y - step / 2, width, height: step }),
      draw('line', { class: 'grid', x1: left, x2: right, y1: y, y2: y }),
      named ? draw('text', { class: 'name', x: left - 12, y: y + 4, 'text-anchor': 'end' }, shorten(row.method, Math.floor(left / 7.4))) : null,
      found && found[1] !== null ? draw('line', {
        class: `whisker ${STYLES.get(row.method).colour}`, x1: x(found[1]), x2: x(found[2]), y1: y, y2: y,
      }) : null,
      found ? mark(row.method, x(found[0]), y) : draw('text', { class: 'tick', x: left + 6, y: y + 4 }, 'not measured'));
  });
  const label = `${column.label}: ${rows.map((row) => `${row.method} ${column.get(row) ? words(column.get(row)) : 'not measured'}`).join(', ')}`;
  return panel(column.label, groupName(rows, false), width, bottom + 22, label, [...grid, ...marks]);
}

function drawRetention() {
  const target = byId('plot-retention');
  const columns = columnsOf('main').filter((one) => one.name !== 'harmonic_mean');
  const width = panelWidth(target, 205, 5);
  const groups = groupsOf(true).filter((rows) => new Set(rows.map((row) => row.edits)).size > 1);
  const panels = groups.flatMap((rows) => columns.map((column) => retentionPanel(rows, column, width)));
  target.replaceChildren(...(panels.length ? panels
    : [el('p', { class: 'note' }, 'This run has one number of edits; a second one would give a line.')]));
}

function retentionPanel(rows, column, width) {
  const [left, right, top, bottom] = [34, width - 20, 10, 178];
  const counts = [...new Set(rows.map((row) => row.edits))].sort((a, b) => a - b);
  const log = (count) => Math.log10(Math.max(1, count));
  const [low, high] = [log(counts[0]), log(counts.at(-1))];
  const x = (count) => left + 8 + (high > low ? (log(count) - low) / (high - low) : 0.5) * (right - left - 8);
  const y = (value) => bottom - Math.min(1, Math.max(0, value)) * (bottom - top);
  const grid = [0, 0.5, 1].map((value) => draw('g', {},
    draw('line', { class: 'grid', x1: left, x2: right, y1: y(value), y2: y(value) }),
    draw('text', { class: 'tick', x: left - 6, y: y(value) + 4, 'text-anchor': 'end' }, String(value * 100))));
  const ticks = counts.map((count) => draw('text', {
    class: 'tick', x: x(count), y: bottom + 17, 'text-anchor': count === counts.at(-1) ? 'end' : 'middle',
  }, whole(count)));
  const lines = METHODS.map((method, place) => {
    // A little apart, so that intervals of methods with the same score can be seen.
    const nudge = (place - (METHODS.length - 1) / 2) * 1.6;
    const points = rows.filter((row) => row.method === method && column.get(row)).sort((a, b) => a.edits - b.edits);
    if (!points.length) return null;
    const { colour } = STYLES.get(method);
    const path = points.map((row, at) => `${at ? 'L' : 'M'}${x(row.edits) + nudge} ${y(column.get(row)[0])}`).join('');
    return draw('g', { 'data-method': method }, draw('path', { class: `line ${colour}`, d: path }), points.map((row) => {
      const found = column.get(row);
      const at = x(row.edits) + nudge;
      return draw('g', { 'data-tip': `${method}, ${whole(row.edits)} edits: ${words(found)}` },
        found[1] === null ? null : draw('line', { class: `whisker thin ${colour}`, x1: at, x2: at, y1: y(found[1]), y2: y(found[2]) }),
        mark(method, at, y(found[0]), 3.5), draw('circle', { class: 'hit', cx: at, cy: y(found[0]), r: 9 }));
    }));
  });
  const label = `${column.label} by number of edits, ${counts.map(whole).join(', ')}; the table has the figures`;
  return panel(column.label, groupName(rows, true), width, bottom + 24, label, [...grid, ...ticks, ...lines.filter(Boolean)]);
}

function drawCost() {
  const target = byId('plot-cost');
  const column = columnsOf('main').find((one) => one.name === state.quality) ?? columnsOf('main')[0];
  const added = (row) => row.added;
  const groups = !column ? [] : groupsOf(false).map((rows) => rows.filter((row) => column.get(row) && typeof added(row) === 'number'))
    .filter((rows) => rows.length);
  const width = Math.min(900, panelWidth(target, 420, Math.min(2, groups.length)));
  const panels = groups.map((rows) => costPanel(rows, column, added, width));
  target.replaceChildren(...(panels.length ? panels : [el('p', { class: 'note' }, 'The added latency was not measured.')]));
}

function costPanel(rows, column, added, width) {
  const [left, right, top, bottom] = [40, width - 16, 12, 292];
  const most = Math.max(1, ...rows.map(added));
  const scale = (value) => Math.log10(1 + Math.max(0, value)) / Math.log10(1 + most * 1.25);
  const x = (value) => left + 10 + scale(value) * (right - left - 10);
  const y = (value) => bottom - Math.min(1, Math.max(0, value)) * (bottom - top);
  const grid = [0, 0.25, 0.5, 0.75, 1].map((value) => draw('g', {},
    draw('line', { class: 'grid', x1: left, x2: right, y1: y(value), y2: y(value) }),
    draw('text', { class: 'tick', x: left - 6, y: y(value) + 4, 'text-anchor': 'end' }, String(value * 100))));
  const ticks = [0, 1, 10, 100, 1000, 10000, 100000].filter((value) => value <= most * 1.25).map((value) => draw('g', {},
    draw('line', { class: 'grid', x1: x(value), x2: x(value), y1: top, y2: bottom }),
    draw('text', { class: 'tick', x: x(value), y: bottom + 20, 'text-anchor': 'middle' }, whole(value))));
  const place = labels(rows.map((row) => [x(added(row)), y(column.get(row)[0])]), [left, right, top, bottom]);
  const marks = rows.map((row) => {
    const found = column.get(row);
    const [px, py] = [x(added(row)), y(found[0])];
    const at = place(px, py, row.method);
    return draw('g', { 'data-method': row.method, 'data-tip': `${row.method}: ${words(found)}, ${plain(added(row))} ms added` },
      found[1] === null ? null : draw('line', { class: `whisker thin ${STYLES.get(row.method).colour}`, x1: px, x2: px, y1: y(found[1]), y2: y(found[2]) }),
      mark(row.method, px, py, 5), draw('circle', { class: 'hit', cx: px, cy: py, r: 11 }),
      at ? draw('text', { class: 'name', x: at.x, y: at.y + 4, 'text-anchor': at.anchor }, shorten(row.method, 18)) : null);
  });
  const title = draw('text', { class: 'tick', x: right, y: bottom + 38, 'text-anchor': 'end' }, 'added milliseconds per query, logarithmic');
  const label = `${column.label} against added milliseconds: ${rows.map((row) => `${row.method} ${words(column.get(row))} at ${plain(added(row))} ms`).join(', ')}`;
  return panel(column.label, groupName(rows, false), width, bottom + 45, label, [...grid, ...ticks, ...marks, title]);
}

/** Places for names beside their marks that cover neither a mark nor another name; none where there is no such place. */
function labels(points, [left, right, top, bottom]) {
  const taken = points.map(([x, y]) => [x - 7, y - 7, x + 7, y + 7]);
  const free = (box) => box[0] >= left && box[2] <= right + 10 && box[1] >= top - 10 && box[3] <= bottom + 8
    && taken.every((other) => box[2] < other[0] || other[2] < box[0] || box[3] < other[1] || other[3] < box[1]);
  return (x, y, text) => {
    const width = Math.min(18, [...text].length) * 7;
    for (const [anchor, dx, dy] of [['start', 10, 0], ['end', -10, 0], ['start', 8, -13], ['start', 8, 13], ['end', -8, -13],
      ['end', -8, 13], ['middle', 0, -16], ['middle', 0, 18]]) {
      const start = x + dx - (anchor === 'end' ? width : anchor === 'middle' ? width / 2 : 0);
      const box = [start, y + dy - 7, start + width, y + dy + 7];
      if (free(box)) {
        taken.push(box);
        return { x: x + dx, y: y + dy, anchor };
      }
    }
    return null;
  };
}
