// One question: what was asked, what was said, which facts were weighed, and what other methods said.

const block = (title, ...content) => el('section', { class: 'block' }, el('h4', {}, title), ...content);
const said = (number, answers = []) => el('div', { class: 'text', dir: 'auto' }, texts[number] === ''
  ? el('i', { class: 'muted' }, 'nothing') : marked(texts[number], answers.map((one) => texts[one])));
const yes = (value, word) => (value === null ? null
  : el('span', { class: `badge ${value ? 'good' : 'bad'}` }, `${value ? '✓' : '✗'} ${value ? '' : 'not '}${word}`));

/** A text with the right answers in it marked, where they stand as whole words. */
function marked(text, answers) {
  const wanted = answers.map((one) => one.trim()).filter((one) => [...one].length > 2);
  if (!wanted.length) return [text];
  const escaped = wanted.sort((a, b) => b.length - a.length).map((one) => one.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join('|')})(?![\\p{L}\\p{N}])`, 'giu');
  const parts = [];
  let at = 0;
  for (const match of text.matchAll(pattern)) {
    parts.push(text.slice(at, match.index), el('mark', {}, match[0]));
    at = match.index + match[0].length;
  }
  return [...parts, text.slice(at)];
}

function drawDetail(item) {
  const detail = byId('detail');
  if (!item) {
    detail.replaceChildren(el('p', { class: 'note' }, 'No question is open.'));
    return;
  }
  detail.replaceChildren(toolbar(item), about(item), el('p', { class: 'asked', dir: 'auto' }, texts[item.prompt]), badges(item),
    block('Right answers', rightAnswers(item)), answers(item), facts(item), given(item), others(item));
  detail.scrollTop = 0;
}

function toolbar(item) {
  const place = openPlace();
  const link = el('button', { type: 'button', class: 'quiet', id: 'copy', onclick: async () => {
    try {
      await navigator.clipboard.writeText(location.href);
      link.textContent = 'Copied';
    } catch {
      link.textContent = 'The address bar has it';
    }
  } }, 'Copy link');
  return el('div', { class: 'toolbar' },
    el('button', { type: 'button', class: 'quiet back', onclick: () => { narrow(false); byId('cases').scrollIntoView(); } }, '‹ List'),
    el('button', { type: 'button', id: 'back', disabled: place <= 0, onclick: () => { go(openPlace() - 1); byId('back').focus(); } }, '‹ Previous'),
    el('span', { class: 'position' }, place < 0 ? '' : `${whole(place + 1)} of ${whole(shown.length)}`),
    el('button', { type: 'button', id: 'on', disabled: place >= shown.length - 1, onclick: () => { go(openPlace() + 1); byId('on').focus(); } }, 'Next ›'),
    item ? link : null);
}

function about(item) {
  const parts = [item.dataset, item.model, item.method, `${whole(item.edits)} ${item.edits === 1 ? 'edit' : 'edits'}`,
    `case ${texts[item.id]}`, item.sub ? `${item.kind}: ${item.sub.replaceAll('_', ' ')}` : item.kind];
  return el('p', { class: 'about' }, parts.map((part) => el('span', { dir: 'auto' }, part)));
}

function badges(item) {
  const flags = { false_fire: 'false fire', wrong_fact: 'wrong fact', no_fact: 'no fact shown' };
  return el('p', { class: 'badges' }, yes(item.contains, 'contained'), yes(item.exact, 'exact'), yes(item.preserved, 'preserved'),
    item.flags.map((flag) => el('span', { class: 'badge bad' }, `! ${flags[flag] ?? flag}`)),
    item.finish === 'stop' ? null : el('span', { class: 'badge' }, `ended by ${item.finish}`),
    item.flaws.map((flaw) => el('span', { class: 'badge warn' }, `flaw: ${flaw.replaceAll('_', ' ')}`)));
}

function rightAnswers(item) {
  if (!item.answers.length) return el('p', { class: 'muted' }, 'None is known: only preservation is measured.');
  return el('p', { class: 'chips' }, item.answers.map((one) => el('span', { class: 'chip', dir: 'auto' }, texts[one])));
}

function answers(item) {
  const same = item.answer === item.bare;
  const calls = item.calls === 1 ? '1 call of the model' : `${whole(item.calls)} calls of the model`;
  return el('div', { class: 'pair' },
    block('Answer', said(item.answer, item.answers), el('p', { class: 'muted' }, same ? 'Byte for byte the bare answer.' : `Not the bare answer. ${calls}.`)),
    block('Bare answer', said(item.bare, item.answers), el('p', { class: 'muted' }, 'The unmodified model, without any fact.')),
    item.after ? block('Right after its own edit', said(item.after[0], item.answers), el('p', { class: 'badges' },
      yes(item.after[2], 'contained'), yes(item.after[1], 'exact'), yes(item.after[3], 'preserved'))) : null);
}

function facts(item) {
  const own = new Set(item.own);
  const entry = (number) => el('li', { dir: 'auto' }, texts[number], own.has(number) ? el('span', { class: 'badge' }, 'its own') : null);
  return el('div', {},
    block('Facts of the record', el('ul', { class: 'factlist' }, item.own.map((number) => el('li', { dir: 'auto' }, texts[number])))),
    block('Facts shown', item.facts.length ? el('ol', { class: 'factlist' }, item.facts.map(entry)) : el('p', { class: 'muted' }, 'None.')),
    item.considered.length ? block(`Facts considered (${item.considered.length})`, considered(item, own)) : null,
    item.forced ? block('Teacher forcing', el('p', {}, `Share of the target’s tokens: ${percent(item.forced[0] ?? 0)} %; log-probability of the target `
      + `${plain(item.forced[1] ?? 0)}${item.forced[2] === null ? '' : `, of the old answer ${plain(item.forced[2])}`} nats.`)) : null);
}

function considered(item, own) {
  const figures = (value) => (value === null ? '–' : value.toFixed(3));
  const sorted = [...item.considered].sort((a, b) => (b[1] ?? -Infinity) - (a[1] ?? -Infinity));
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Facts considered' }, el('table', { class: 'plain' },
    el('thead', {}, el('tr', {}, ['Fact', 'Score', 'Threshold', 'Applies'].map((name, at) => el('th', { scope: 'col', class: at ? 'number' : null }, name)))),
    el('tbody', {}, sorted.map(([fact, score, threshold, applies]) => el('tr', { class: applies ? 'applies' : null },
      el('td', { class: 'wide', dir: 'auto' }, texts[fact], own.has(fact) ? el('span', { class: 'badge' }, 'its own') : null),
      el('td', { class: 'number' }, figures(score), score !== null && score >= 0 && score <= 1 && threshold !== null
        && threshold >= 0 && threshold <= 1 ? gauge(score, threshold) : null),
      el('td', { class: 'number' }, figures(threshold)), el('td', { class: 'number' }, applies ? '✓ yes' : 'no'))))));
}

/** The score as a bar, and the threshold as a mark across it. */
function gauge(score, threshold) {
  return draw('svg', { class: 'strip', viewBox: '0 0 100 4', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    draw('rect', { class: 'track', x: 0, y: 1.5, width: 100, height: 1 }), draw('rect', { class: 'mark', x: 0, y: 1, width: score * 100, height: 2 }),
    draw('rect', { class: 'limit', x: threshold * 100 - 1, y: 0, width: 2, height: 4 }));
}

function given(item) {
  const body = item.given.length ? item.given.map(([role, text]) => el('div', { class: 'turn' },
    role ? el('span', { class: 'role', dir: 'auto' }, role) : null, el('pre', { dir: 'auto', tabindex: '0' }, texts[text])))
    : [el('p', { class: 'muted' }, 'The question as it came.')];
  return block('What the model was given', ...body);
}

/** The same question under the other methods, as far as this page holds it. */
function others(item) {
  const same = items.filter((other) => other.id === item.id && other.q === item.q && other.dataset === item.dataset
    && other.model === item.model && other.edits === item.edits && other.method !== item.method);
  if (!same.length) return null;
  return block('The same question under other methods', el('ul', { class: 'others' }, same.map((other) => {
    const [sign, tone, word] = verdict(other);
    return el('li', {}, el('button', { type: 'button', onclick: () => open(other) },
      el('span', { class: `sign ${tone}`, role: 'img', 'aria-label': word }, sign), el('b', { dir: 'auto' }, other.method),
      el('span', { class: 'excerpt', dir: 'auto' }, shorten(texts[other.answer], 140))));
  })));
}
