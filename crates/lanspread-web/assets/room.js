'use strict';
/* The room page. Everything that peers say is text: elements come from createElement, words from text nodes, and no
   markup is ever parsed. The daemon decides what is ready, what is possible and why not. The page shows it. */

const byId = id => document.getElementById(id);
const phone = matchMedia('(max-width: 44rem)');

// ---- Text -----------------------------------------------------------------------------------------------------------
// Characters that no one sees let a name pass for another one. They are shown as U+FFFD, and heaps of marks are cut.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u2800\u3164\uffa0]+/gu;
function shown(value, longest = 200) {
  const text = String(value ?? '').replace(UNSEEN, '\ufffd').replace(/(\p{M}{2})\p{M}+/gu, '$1');
  const signs = [...text.replace(/\s+/g, ' ').trim()];
  // Both ends stay: long names often differ in the last signs.
  return signs.length > longest ? [...signs.slice(0, longest - 9), '…', ...signs.slice(-8)].join('') : signs.join('');
}
function bytes(count) {
  if (count == null) return '–';
  let unit = 0;
  for (; count >= 1000 && unit < 4; unit++) count /= 1024;
  const digits = (unit > 1 && count < 10) || (unit > 2 && count < 100) ? 1 : 0;
  return count.toFixed(digits) + '\u00a0' + ['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit];
}
const rate = speed => speed ? bytes(speed) + '/s' : '–';
const bits = speed => speed >= 125e6 ? (speed / 125e6).toFixed(1) + '\u00a0Gbit/s' : Math.round(speed / 125e3) + '\u00a0Mbit/s';
function left(seconds) {
  if (seconds == null) return '–';
  if (seconds <= 55) return Math.max(5, Math.ceil(seconds / 5) * 5) + '\u00a0s';
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? minutes + '\u00a0min' : Math.floor(minutes / 60) + '\u00a0h ' + minutes % 60 + '\u00a0min';
}
const clock = time => new Date(time).toLocaleTimeString('en-GB');
const many = (count, thing) => count + ' ' + thing + (count === 1 ? '' : 's');
const natural = new Intl.Collator('en', { numeric: true }).compare;

// ---- States: the word and the glyph mean, the group only colours -------------------------------------------------------
const state = (word, glyph, group, short = word) => ({ word, glyph, group, short });
const STATES = {
  installed: state('installed', '✓', 'ok'), downloaded: state('archive here', '▣', 'ok'),
  streaming: state('streaming', '▸', 'go', 'stream'), downloading: state('downloading', '▸', 'go', 'load'),
  installing: state('unpacking', '▸', 'go', 'unpack'), updating: state('updating', '▸', 'go', 'update'),
  verifying: state('verifying', '▸', 'go', 'verify'), repairing: state('repairing', '▸', 'go', 'repair'),
  waiting: state('waiting', '◷', 'wait'), outdated: state('update available', '↑', 'up', 'old version'),
  interrupted: state('interrupted', '‖', 'up', 'stopped'), damaged: state('damaged', '!', 'bad'),
  failed: state('failed', '✕', 'bad'), unknown: state('no word', '?', 'lost'), absent: state('not here', '·', 'no'),
};
const REASONS = {
  'not-enough-space': 'disk full', 'disk-full': 'disk full', 'all-sources-failed': 'no source', 'no-source': 'no source',
  'checksum-mismatch': 'bad data', 'archive-damaged': 'bad archive', 'permission-denied': 'no access', 'too-slow': 'too slow',
};
const KINDS = {
  'stream-install': 'Low-disk install', download: 'Download', install: 'Unpack', update: 'Update', verify: 'Verify',
  repair: 'Repair', cancel: 'Cancel', uninstall: 'Uninstall', remove: 'Remove archive',
};
const GROUPS = { bad: '✕', lost: '?', go: '▸', wait: '◷', up: '↑', ok: '✓', no: '·' };
const worst = Object.keys(GROUPS);
const of = cell => STATES[cell.state] || STATES.unknown;
const isBad = cell => of(cell).group === 'bad' || of(cell).group === 'lost';
const isBusy = cell => of(cell).group === 'go';
const percent = part => part.bytes_total ? Math.min(99, Math.floor(part.bytes / part.bytes_total * 100)) : 0;

// ---- The room, as it was last heard of ---------------------------------------------------------------------------------
let room = null, log = [], twice = new Set(), groups = new Map();
const peers = new Map(), games = new Map(), cells = new Map(), changed = new Set(), news = [];
const none = new Map(), pair = (peer, game) => peer + '\n' + game;
const ofPeer = peer => cells.get(peer) || none;
const cellAt = (peer, game) => ofPeer(peer).get(game) || { peer, game, state: 'absent' };

const alike = text => text.normalize('NFKC').toLowerCase();
const mixed = text => /\p{sc=Latin}/u.test(text) && /[\p{sc=Cyrillic}\p{sc=Greek}\p{sc=Armenian}\p{sc=Cherokee}]/u.test(text);
// All identities begin alike.
const digits = id => shown(id, 64).replace(/^peer1/, '');
function nameOf(peer) {
  const name = shown(peer.name, 28);
  const doubtful = !name || /^\(|\ufffd/.test(name) || mixed(name) || twice.has('peer ' + alike(name));
  return doubtful ? `${name || '(no name)'} ·${digits(peer.peer).slice(0, 4)}` : name;
}
function titleOf(game) {
  const title = shown(game.title || game.game, 40), id = shown(game.game, 40);
  return title !== id && twice.has('game ' + alike(title)) ? `${title} (${id})` : title;
}
const name = id => peers.has(id) ? nameOf(peers.get(id)) : '(gone)';
const title = id => games.has(id) ? titleOf(games.get(id)) : shown(id, 40) || '(gone)';
const gamesInOrder = () => [...games.values()].sort((a, b) => b.wanted - a.wanted || natural(titleOf(a), titleOf(b)));

function findDoubles() {
  const seen = new Set();
  twice = new Set();
  const words = [...[...peers.values()].map(peer => 'peer ' + alike(shown(peer.name, 28))),
    ...[...games.values()].map(game => 'game ' + alike(shown(game.title || game.game, 40)))];
  for (const word of words) (seen.has(word) ? twice : seen).add(word);
}
function take(delta) {
  for (const game of delta.games || []) games.set(game.game, game);
  for (const peer of delta.peers || []) peers.set(peer.peer, peer);
  if (delta.games || delta.peers) findDoubles();
  for (const cell of delta.cells || []) {
    if (!cells.has(cell.peer)) cells.set(cell.peer, new Map());
    const before = ofPeer(cell.peer).get(cell.game), now = cell.state;
    if (before && before.state !== now && (now === 'installed' || isBad(cell))) {
      news.push(`${name(cell.peer)}: ${title(cell.game)} ${words(cell)}`);
    }
    if (now === 'absent' && !games.get(cell.game)?.wanted) ofPeer(cell.peer).delete(cell.game);
    else cells.get(cell.peer).set(cell.game, cell);
    changed.add(pair(cell.peer, cell.game));
  }
  for (const part of ['seq', 'time', 'links', 'operations', 'warnings', 'summary', 'looking']) if (part in delta) room[part] = delta[part];
  groups = new Map();
  // Also while the tab is hidden: its title is all that can be seen then.
  const { ready, seats, problems } = room.summary;
  document.title = `${ready}/${seats} ready${problems ? ` · ${problems} need you` : ''} – ${shown(room.party, 40) || 'Room'}`;
}
function takeWhole(snapshot) {
  const before = [...cells.values()].flatMap(row => [...row.values()]);
  peers.clear(); games.clear(); cells.clear();
  room = { ...snapshot, looking: snapshot.looking ?? null };
  for (const cell of before) changed.add(pair(cell.peer, cell.game));
  take(snapshot);
}
// Ends and failures are spoken, in one sentence in 5 s at most. Percentages never are.
setInterval(() => {
  const ends = news.splice(0);
  if (!ends.length || !room) return;
  const more = ends.length > 3 ? `, and ${ends.length - 3} more` : '';
  byId('say').textContent = `${ends.slice(0, 3).join('. ')}${more}. ${room.summary.ready} of ${room.summary.seats} seats ready.`;
}, 5000);

// ---- The daemon ---------------------------------------------------------------------------------------------------------
const SILENCE_MS = 12000, WAITS_S = [1, 2, 4, 8, 15];
const daemon = { state: 'wait', heard: 0, failures: 0, retry: 0, timer: 0, turn: 0, stream: null, token: '', locked: '', why: '' };

async function ask(method, path, body) {
  const headers = method === 'GET' ? {} : { 'Content-Type': 'application/json' };
  if (daemon.token) headers.Authorization = 'Bearer ' + daemon.token;
  const reply = await fetch('api/v1/' + path, { method, headers, body: body && JSON.stringify(body), redirect: 'error' });
  const answer = await reply.json().catch(() => ({}));
  if (reply.ok) return answer;
  if (reply.status === 401) daemon.locked = daemon.token ? 'This token was not accepted.' : 'A token is needed.';
  throw { refused: true, ...answer, message: shown(answer.message) || `the daemon answered ${reply.status}` };
}
// A ticket first, also where no token is needed: only a request that is no stream tells why it was refused.
async function connect() {
  clearTimeout(daemon.timer);
  daemon.stream?.close();
  const turn = ++daemon.turn;
  try {
    const { ticket } = await ask('POST', 'ticket', {});
    if (turn !== daemon.turn) return;
    const stream = daemon.stream = new EventSource('api/v1/live?ticket=' + encodeURIComponent(ticket));
    const on = (event, use) => stream.addEventListener(event, message => {
      Object.assign(daemon, { state: 'live', heard: Date.now(), failures: 0, why: '' });
      use(JSON.parse(message.data));
      drawSoon();
    });
    on('snapshot', takeWhole);
    on('delta', delta => room && take(delta));
    on('log', events => log = [].concat(events, log).slice(0, 500));
    on('time', () => {});
    stream.onerror = () => turn === daemon.turn && lose('');
  } catch (error) {
    if (turn === daemon.turn) lose(error.refused ? error.message : '');
  }
}
// The browser's own way to connect again neither waits longer each time nor asks for a new ticket.
function lose(why) {
  daemon.stream?.close();
  clearTimeout(daemon.timer);
  const wait = WAITS_S[Math.min(daemon.failures++, WAITS_S.length - 1)] * 1000;
  Object.assign(daemon, { state: 'gone', why, retry: Date.now() + wait });
  if (!daemon.locked) daemon.timer = setTimeout(connect, wait);
  drawSoon();
}
setInterval(() => {
  if (daemon.state === 'live' && Date.now() - daemon.heard > SILENCE_MS) lose('');
  if (daemon.state !== 'live') drawSoon();
}, 1000);

// ---- Elements: what is wanted is compared with what is there, so focus and scrolling stay ------------------------------
function make(tag, ...rest) {
  const [element, ...classes] = tag.split('.'), first = rest[0];
  const props = first && typeof first === 'object' && !Array.isArray(first) && !first.element ? rest.shift() : {};
  const className = [...classes, props.class].filter(Boolean).join(' ');
  return { element, props: className ? { ...props, class: className } : props, kids: flat(rest) };
}
const flat = kids => kids.flat(9).filter(kid => kid != null && kid !== false && kid !== '');
function set(node, prop, value) {
  if (prop.startsWith('on') || prop === 'value') node[prop] = value ?? null;
  else if (prop.startsWith('--')) node.style.setProperty(prop, value ?? '');
  else if (value == null || value === false) node.removeAttribute(prop);
  else node.setAttribute(prop, value === true ? '' : value);
}
function patch(parent, ...kids) {
  const wanted = flat(kids), keys = new Set(wanted.map(kid => kid.props?.key).filter(Boolean)), there = new Map();
  for (const node of [...parent.childNodes]) {
    if (node.key && !keys.has(node.key)) node.remove();
    else if (node.key) there.set(node.key, node);
  }
  let place = parent.firstChild;
  for (const kid of wanted) {
    if (!kid.element) {
      if (place?.nodeType === 3) {
        if (place.data !== String(kid)) place.data = kid;
        place = place.nextSibling;
      } else parent.insertBefore(document.createTextNode(kid), place);
      continue;
    }
    const { key } = kid.props;
    let node = key ? there.get(key) : place?.nodeType === 1 && !place.key && place;
    if (!node || node.localName !== kid.element) {
      node = document.createElement(kid.element);
      Object.assign(node, { key, props: {} });
    }
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
    for (const prop of Object.keys({ ...node.props, ...kid.props })) {
      if (prop !== 'key' && prop !== 'own' && node.props[prop] !== kid.props[prop]) set(node, prop, kid.props[prop]);
    }
    node.props = kid.props;
    if (!kid.props.own) patch(node, kid.kids);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}
const button = (text, onclick, props) => make('button', { type: 'button', onclick, ...props }, text);
const icon = glyph => make('span.icon', { 'aria-hidden': 'true' }, glyph);
const bar = (part, label) => make('span.progress', {
  '--part': part + '%', role: 'progressbar', 'aria-valuenow': part, 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-label': label,
});
const pill = cell => make('span.pill', { 'data-group': of(cell).group }, of(cell).glyph + ' ' + words(cell));
const linkTo = (text, peer, game) => make('a', { href: address(peer, game) }, text);
const facts = rows => make('dl', rows.filter(Boolean).map(([term, ...what]) => [make('dt', term), make('dd', what)]));
const choice = (label, options, value, choose) => make('div.choice', { role: 'group', 'aria-label': label },
  options.map(([each, text]) => button(text, () => { choose(each); draw(); }, { 'aria-pressed': String(each === value) })));
const finder = label => make('label', make('span.unseen', label),
  make('input', { type: 'search', placeholder: label, value: find, oninput: event => { find = event.target.value; draw(); } }));
const note = (heading, ...text) => make('div.note', { key: heading }, make('h2', heading), text);

// ---- Words about a cell and a seat --------------------------------------------------------------------------------------
function words(cell) {
  const { word, group } = of(cell);
  if (group === 'go') return `${word} ${percent(cell)} %`;
  if (cell.state === 'installed') return word + (cell.shareable ? ', shares it' : ', not shareable');
  if (cell.state === 'downloaded') return word + ', shares it';
  if (cell.state === 'waiting' && cell.waiting_for) return `waiting for ${name(cell.waiting_for)}, ${cell.before ?? '?'} before it`;
  return cell.state === 'failed' && cell.code ? `failed: ${REASONS[cell.code] || shown(cell.code, 20)}` : word;
}
const sentence = cell => [
  name(cell.peer), title(cell.game), words(cell),
  isBusy(cell) && `${bytes(cell.bytes)} of ${bytes(cell.bytes_total)}, ${rate(cell.bytes_per_second)}, ${left(cell.seconds_left)} left`,
  cell.source && 'from ' + name(cell.source),
  cell.version && shown(cell.version, 20) + (cell.state === 'outdated' ? `, wanted ${shown(games.get(cell.game)?.version, 20)}` : ''),
  cell.message && shown(cell.message),
].filter(Boolean).join(' · ');
// The cell that says most about a seat: what is wrong, else what takes longest, waits, or is not as it is wanted.
const weight = cell => isBusy(cell) ? 3 : cell.state === 'waiting' ? 2 : of(cell).group === 'up' && games.get(cell.game)?.wanted ? 1 : 0;
function mainCell(peer) {
  let main = null;
  for (const cell of ofPeer(peer.peer).values()) {
    if (isBad(cell)) return cell;
    const more = weight(cell) - (main ? weight(main) : 0);
    if (more > 0 || (!more && main && cell.seconds_left > main.seconds_left)) main = cell;
  }
  return main;
}
function groupOf(peer) {
  if (!groups.has(peer.peer)) {
    const main = mainCell(peer);
    groups.set(peer.peer, peer.state !== 'here' ? 'lost' : main && isBad(main) ? of(main).group
      : !peer.seat ? 'no' : peer.ready ? 'ok' : main ? of(main).group : 'wait');
  }
  return groups.get(peer.peer);
}
function shortWord(peer, group) {
  const main = mainCell(peer);
  if (group === 'lost') return 'no word';
  if (group === 'bad') return REASONS[main.code] || of(main).short;
  if (group === 'go') return left(main.seconds_left ?? peer.seconds_left);
  return { ok: 'ready', no: 'source' }[group] || (main ? of(main).short : 'not started');
}

// ---- Where we are: #view/seat/ID/game/ID ----------------------------------------------------------------------------------
const VIEWS = { room: 'Room', flow: 'Flow', queue: 'Queue', log: 'Log', metrics: 'Metrics', overview: 'Overview' };
let at = { view: 'room' };
const address = (peer, game) => '#' + at.view + (peer ? '/seat/' + encodeURIComponent(peer) : '') + (game ? '/game/' + encodeURIComponent(game) : '');
function readAddress() {
  const parts = location.hash.slice(1).split('/').map(part => {
    try { return decodeURIComponent(part); } catch { return ''; }
  });
  at = { view: Object.hasOwn(VIEWS, parts[0]) ? parts[0] : 'room' };
  for (let i = 1; i + 1 < parts.length; i += 2) if (parts[i] === 'seat' || parts[i] === 'game') at[parts[i]] = parts[i + 1];
}

// ---- Drawing: at most once a frame, and not while the tab is hidden -----------------------------------------------------
let due = 0;
const drawSoon = () => due ||= requestAnimationFrame(draw);
function draw() {
  cancelAnimationFrame(due);
  due = 0;
  const wall = at.view === 'overview', gone = daemon.state === 'gone', seconds = Math.ceil((daemon.retry - Date.now()) / 1000);
  // Before the table is measured: open details take width from it.
  Object.assign(document.body.dataset, { view: at.view, live: daemon.state, open: detailId() ? 'yes' : '' });
  patch(byId('party'), room && shown(room.party, 40) || 'Room');
  patch(byId('views'), Object.entries(VIEWS).filter(([view]) => view !== 'overview').map(([view, text]) =>
    make('a', { href: '#' + view, 'aria-current': at.view === view && 'page' }, text,
      view === 'queue' && room?.operations.length ? make('small', ' ' + room.operations.length) : '')));
  patch(byId('tools'), make('span.live', make('span', { 'aria-hidden': 'true' }, daemon.state === 'live' ? '● ' : '○ '),
    { live: 'live', wait: 'connecting', gone: 'no answer' }[daemon.state]),
  button('Theme: ' + theme, nextTheme), make('a.button', { href: wall ? '#room' : '#overview' }, wall ? 'Leave overview' : 'Overview'));
  byId('gone').hidden = !(gone && room);
  patch(byId('lost'), gone && room ? [make('b', daemon.locked || 'The daemon does not answer.'), daemon.why && !daemon.locked ? ` It says: ${daemon.why}.` : '',
    ` This is the room as it was at ${clock(daemon.heard)}. Installs continue without this page.`] : '');
  // Not in the alert: that would be spoken each second.
  patch(byId('again'), !(gone && room) ? '' : daemon.locked ? tokenForm() : [seconds > 0 ? `Next try in ${seconds} s. ` : 'Trying. ', button('Try now', connect)]);
  patch(byId('answer'), room?.summary.seats ? figures(room.summary) : '');
  patch(byId('needs'), room && (wall || at.view === 'room') ? needs(wall ? 3 : 5) : '');
  patch(byId('view'), room ? { room: roomView, flow: flowView, queue: queueView, log: logView, metrics: metricsView, overview: wallView }[at.view]()
    : beforeRoom(gone));
  if (byId('grid')) drawGrid();
  drawDetail();
}
function beforeRoom(gone) {
  if (daemon.locked) return note('This room needs a token', make('p', 'The daemon wrote it to a file when it started, and printed where.'), tokenForm());
  return gone ? note('The daemon does not answer', make('p', daemon.why ? `It says: ${daemon.why}. ` : 'Is it running on that machine? ',
    make('code', 'systemctl status lanspread-peer'), ' shows it. The page tries again by itself.'))
    : note('Asking the daemon …', make('p', 'The room appears as soon as the daemon has answered.'));
}
let theme = 'auto';
function nextTheme() {
  theme = { auto: 'light', light: 'dark', dark: 'auto' }[theme];
  document.documentElement.dataset.theme = theme;
  draw();
}
function tokenForm() {
  return make('form', { key: 'token', onsubmit: event => {
    event.preventDefault();
    const typed = event.target.elements[0].value.trim();
    // A header can carry nothing else, and no token has anything else.
    if (!/^[\x21-\x7e]+$/.test(typed)) return;
    Object.assign(daemon, { token: typed, locked: '' });
    act.said = 'Now press again.';
    connect();
    draw();
  } }, make('label', 'Token ', make('input', { type: 'password', autocomplete: 'off' })), ' ', make('button', 'Use it'),
  daemon.token ? make('p', { role: 'status' }, daemon.locked) : '');
}

// ---- The answer: four figures, one bar, what needs you --------------------------------------------------------------------
function figures(sum) {
  const counts = { ok: 0, go: 0, wait: 0, up: 0, bad: 0, lost: 0, no: 0 };
  for (const peer of peers.values()) if (peer.seat) counts[groupOf(peer)]++;
  counts.bad += counts.lost;
  counts.wait += counts.up;
  const figure = (kind, number, ...text) => make('p.figure' + kind, make('b', number), make('span', text));
  return [make('div.figures',
    figure('.lead', [sum.ready, make('i', ' of ' + sum.seats)], 'seats ready'),
    figure('', left(sum.seconds_left), sum.slowest ? ['until the slowest, ', linkTo(name(sum.slowest), sum.slowest)] : 'nothing is running'),
    figure('', rate(sum.bytes_per_second), sum.bytes_per_second ? bits(sum.bytes_per_second) + ' between seats' : 'between seats'),
    figure(sum.problems ? '.alarm' : '', sum.problems || 'nothing', sum.problems > 1 ? 'things need you' : sum.problems ? 'thing needs you' : 'needs you')),
  make('p.bar', Object.entries({ ok: 'ready', go: 'working', wait: 'waiting', bad: 'stuck' }).map(([group, text]) =>
    counts[group] ? make('span', { 'data-group': group, '--seats': counts[group] }, make('b', counts[group]), ' ' + text) : ''))];
}
let allNeeds = false;
function needs(most) {
  const list = [...[...peers.values()].sort((a, b) => natural(a.name, b.name)).flatMap(peer => [...ofPeer(peer.peer).values()].filter(isBad)), ...room.warnings];
  const rows = list.slice(0, allNeeds ? 99 : most);
  return list.length ? [make('h2', 'Needs you'), make('ul', rows.map(each => {
    const { glyph, group } = each.state ? of(each) : { glyph: '!', group: 'up' };
    return make('li', { 'data-group': group }, icon(glyph), make('a', { href: address(each.peer, each.game) }, make('b', name(each.peer)), each.game ? ' ' + title(each.game) : ''),
      make('span', shown(each.message || words(each)), ' ', make('span.mute', shown(each.hint, 240))));
  })), list.length > rows.length ? button(`${list.length - rows.length} more`, () => { allNeeds = true; draw(); }, { class: 'quiet' }) : ''] : '';
}

// ---- Room: a table, or a list on a phone ------------------------------------------------------------------------------------
let find = '', which = 'all', order = 'name', rows = [], columns = [];
const has = text => text.toLowerCase().includes(find.trim().toLowerCase());
function roomView() {
  if (room.looking) return noOthers(room.looking);
  if (!games.size) {
    return note(`${many(peers.size, 'machine')} here, no game yet`,
      make('p', 'Put the folder of a game, with its .eti archives and version.ini, into the games directory of one machine. It is offered a few seconds later.'),
      make('p', [...peers.values()].map(peer => [make('span.pill', nameOf(peer)), ' '])));
  }
  const all = gamesInOrder(), found = find.trim() ? all.filter(game => has(titleOf(game)) || has(shown(game.game))) : [];
  columns = found.length ? found : all;
  rows = [...peers.values()].filter(peer => (found.length || has(nameOf(peer))) && (which === 'all' || (peer.seat && !peer.ready)));
  rows.sort((a, b) => (order === 'worst' && worst.indexOf(groupOf(a)) - worst.indexOf(groupOf(b))) || a.seat - b.seat || natural(a.name, b.name));
  const legend = ['installed', 'downloaded', 'streaming', 'waiting', 'outdated', 'failed', 'unknown', 'absent'];
  return [make('div.row', { key: 'tools' }, finder('Find seat or game'),
    choice('Show', [['all', 'All seats'], ['not', 'Not ready']], which, each => which = each),
    choice('Order', [['name', 'By name'], ['worst', 'Worst first']], order, each => order = each)),
  !rows.length ? make('p.mute', { key: 'none' }, find.trim() ? 'No seat and no game has that name.' : 'Every seat is ready.')
    : phone.matches ? make('ul.cards', { key: 'list' }, rows.map(card))
      : [make('div', { key: 'grid', id: 'grid', own: true }), make('div.foot', { key: 'foot' }, make('p', { id: 'read', own: true }),
        make('ul.legend', legend.map(each => make('li', { 'data-group': STATES[each].group }, icon(STATES[each].glyph), each === 'streaming' ? 'working' : STATES[each].word))))]];
}
const noOthers = looking => note('No other peer is here yet', make('p', shown(looking.message, 300), ' ', shown(looking.hint, 400)),
  make('p', 'This machine is reachable at:'), make('ul', looking.addrs.map(addr => make('li', make('code', shown(addr, 80))))),
  make('p', 'If others run: does a firewall block UDP 5353 or the port of the daemon? Add one by its address with ', make('code', 'lanspread-peer-cli peers add ADDR:PORT'), '.'));
function card(peer) {
  const group = groupOf(peer), main = mainCell(peer);
  const text = group === 'lost' ? `no word for ${left((peer.silent_ms ?? 0) / 1000)}` : group === 'no' ? `sends ${rate(peer.send_bytes_per_second)}`
    : main ? `${title(main.game)} ${words(main)}${isBusy(main) ? ', ' + left(main.seconds_left) : ''}` : shortWord(peer, group);
  return make('li', { key: peer.peer, 'data-group': group }, make('a', { href: address(peer.peer) }, icon(GROUPS[group]), make('b', nameOf(peer)),
    make('span', peer.seat ? `${peer.games_ready} of ${peer.games_wanted}` : 'source'), make('span.mute', text)), main && isBusy(main) ? bar(percent(main), words(main)) : '');
}

// The table is built when its columns or its density change. Otherwise rows are moved, and a cell is touched only if its
// picture has changed.
const grid = { table: null, shape: '', density: '', lines: new Map(), heads: new Map(), focus: ['', ''], read: null };
const element = (tag, className) => Object.assign(document.createElement(tag), { className });
function drawGrid() {
  const box = byId('grid'), width = byId('view').clientWidth - 216;
  grid.density = columns.length * 92 <= width ? 'wide' : columns.length * 40 <= width ? 'middle' : 'dense';
  const shape = [grid.density, ...columns.map(game => pair(game.game, pair(titleOf(game), pair(game.version, game.wanted))))].join();
  const focused = box.contains(document.activeElement), fresh = shape !== grid.shape || !grid.table;
  if (fresh) buildTable(shape);
  if (grid.table.parentNode !== box) box.replaceChildren(grid.table);
  const body = grid.table.tBodies[0], wanted = new Set(rows.map(peer => peer.peer));
  for (const [peer, line] of grid.lines) {
    if (!wanted.has(peer)) {
      line.row.remove();
      grid.lines.delete(peer);
    }
  }
  rows.forEach((peer, index) => {
    if (!grid.lines.has(peer.peer)) grid.lines.set(peer.peer, buildLine(peer));
    const { row } = grid.lines.get(peer.peer);
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] || null);
    paintHead(peer);
  });
  for (const each of changed) {
    const [peer, game] = each.split('\n'), node = grid.lines.get(peer)?.cells.get(game);
    if (node) paint(node, cellAt(peer, game));
  }
  changed.clear();
  grid.table.setAttribute('aria-rowcount', rows.length + 1);
  if (!nodeAt(...grid.focus)) grid.focus = ['', ''];
  moveTo(...grid.focus, focused && !box.contains(document.activeElement));
  read(grid.read);
}
function buildTable(shape) {
  const table = element('table', grid.density), head = table.createTHead().insertRow(), corner = element('th', '');
  table.createTBody();
  Object.assign(grid, { table, shape, lines: new Map(), heads: new Map([['', corner]]) });
  for (const [name, value] of [['role', 'grid'], ['aria-label', 'Seats and games'], ['aria-readonly', 'true'], ['aria-colcount', columns.length + 1]]) table.setAttribute(name, value);
  Object.assign(corner, { scope: 'col', textContent: 'Seat', at: ['', ''], tabIndex: -1 });
  head.append(corner);
  for (const game of columns) {
    const cell = element('th', game.wanted ? 'wanted' : ''), text = element('span', ''), version = element('small', '');
    text.textContent = titleOf(game);
    version.textContent = shown(game.version, 12);
    Object.assign(cell, { scope: 'col', at: ['', game.game], tabIndex: -1, ariaLabel: `${titleOf(game)} ${shown(game.version, 20)}${game.wanted ? ', wanted' : ''}` });
    cell.append(text, version);
    grid.heads.set(game.game, cell);
    head.append(cell);
  }
  table.addEventListener('keydown', gridKey);
  table.addEventListener('click', event => openAt(event.target.closest('td,th')));
  table.addEventListener('focusin', event => { const node = event.target.closest('td,th'); moveTo(...node.at); read(node.at); });
  table.addEventListener('pointerover', event => { const node = event.target.closest('td,th'); if (node) read(node.at); });
}
function buildLine(peer) {
  const row = element('tr', ''), head = element('th', ''), nodes = new Map();
  Object.assign(head, { scope: 'row', at: [peer.peer, ''], tabIndex: -1 });
  head.append(element('b', ''), element('span', ''), element('span', ''));
  row.append(head);
  for (const game of columns) {
    const cell = element('td', '');
    Object.assign(cell, { at: [peer.peer, game.game], tabIndex: -1 });
    paint(cell, cellAt(peer.peer, game.game));
    nodes.set(game.game, cell);
    row.append(cell);
  }
  return { row, head, cells: nodes };
}
function paint(node, cell) {
  const { glyph, group, short } = of(cell), part = group === 'go' ? percent(cell) : '', wide = grid.density === 'wide';
  let text = glyph;
  if (group === 'go') text = wide ? `${short} ${part} %` : grid.density === 'middle' ? String(part) : '';
  else if (wide && isBad(cell)) text = `${glyph} ${REASONS[cell.code] || short}`;
  else if (wide && cell.state === 'outdated') text = `${glyph} ${shown(cell.version, 9)}`;
  else if (wide && cell.state === 'waiting') text = `${glyph} waiting`;
  else if (wide && cell.state === 'installed' && cell.shareable) text += ' shares';
  const wanted = games.get(cell.game)?.wanted, label = words(cell), picture = [group, text, part, wanted, label].join();
  if (node.picture === picture) return;
  Object.assign(node, { picture, textContent: text, ariaLabel: label });
  node.dataset.group = group === 'ok' && !wanted ? 'extra' : group;
  if (part !== '') node.style.setProperty('--part', part + '%');
}
function paintHead(peer) {
  const { head } = grid.lines.get(peer.peer), group = groupOf(peer);
  const end = group === 'bad' ? 'stuck' : group === 'lost' ? 'silent' : group === 'go' ? left(peer.seconds_left ?? mainCell(peer).seconds_left) : '';
  const texts = [nameOf(peer), peer.seat ? `${peer.games_ready}/${peer.games_wanted}` : 'source', end];
  const picture = texts.join('\n') + group;
  if (head.picture === picture) return;
  Object.assign(head, { picture, ariaLabel: `${texts[0]}, ${peer.seat ? `${peer.games_ready} of ${peer.games_wanted} games ready` : 'source'}${end ? ', ' + end : ''}` });
  head.dataset.group = group;
  texts.forEach((text, index) => head.children[index].textContent = text);
}
const nodeAt = (peer, game) => peer ? game ? grid.lines.get(peer)?.cells.get(game) : grid.lines.get(peer)?.head : grid.heads.get(game);
function moveTo(peer, game, focus) {
  const before = nodeAt(...grid.focus), node = nodeAt(peer, game);
  if (!node) return;
  if (before) before.tabIndex = -1;
  node.tabIndex = 0;
  grid.focus = [peer, game];
  if (focus) node.focus();
}
function openAt(node) {
  if (!node || !(node.at[0] || node.at[1])) return;
  moveTo(...node.at, true);
  location.hash = address(...node.at);
}
function gridKey(event) {
  const lines = ['', ...rows.map(peer => peer.peer)], list = ['', ...columns.map(game => game.game)];
  let line = lines.indexOf(grid.focus[0]), column = list.indexOf(grid.focus[1]);
  const { key, ctrlKey } = event;
  if (event.altKey || event.metaKey) return;
  if (key === 'ArrowRight') column++;
  else if (key === 'ArrowLeft') column--;
  else if (key === 'ArrowDown') line++;
  else if (key === 'ArrowUp') line--;
  else if (key === 'PageDown') line += 10;
  else if (key === 'PageUp') line -= 10;
  else if (key === 'Home') [line, column] = [ctrlKey ? 0 : line, 0];
  else if (key === 'End') [line, column] = [ctrlKey ? lines.length : line, list.length];
  else if (key === 'Enter') { event.preventDefault(); return openAt(event.target); }
  else if (key === 'n' && !ctrlKey) [line, column] = nextProblem(line, column, lines, list);
  else return;
  event.preventDefault();
  const within = (index, length) => Math.max(0, Math.min(length - 1, index));
  moveTo(lines[within(line, lines.length)], list[within(column, list.length)], true);
}
function nextProblem(line, column, lines, list) {
  const size = lines.length * list.length;
  for (let step = 1; step <= size; step++) {
    const index = (line * list.length + column + step) % size, [peer, game] = [lines[Math.floor(index / list.length)], list[index % list.length]];
    if (peer && game && isBad(cellAt(peer, game))) return [lines.indexOf(peer), list.indexOf(game)];
  }
  return [line, column];
}
function read(where) {
  const [peer, game] = grid.read = where || ['', ''];
  const text = peer && game ? sentence(cellAt(peer, game)) : peer && peers.has(peer) ? `${name(peer)} · ${shown(peers.get(peer).addr)} · ${bytes(peers.get(peer).free_bytes)} free`
    : game && games.has(game) ? `${title(game)} · archive ${bytes(games.get(game).bytes)}, installed ${bytes(games.get(game).unpacked_bytes)}` : 'Point at a cell, or move to it with Tab and the arrow keys. n: next problem. Enter: details.';
  if (byId('read').textContent !== text) byId('read').textContent = text;
}

// ---- Flow: who feeds whom ---------------------------------------------------------------------------------------------------
// The lines of one game: each chain from its source to its last follower. A download is a line of one link.
function chains(links) {
  const rest = new Set(links), lines = [];
  const follow = link => {
    const line = [];
    for (let next = link; next; next = link.kind === 'stream' && [...rest].find(each => each.kind === 'stream' && each.from === next.to)) {
      rest.delete(next);
      line.push(next);
    }
    lines.push(line);
  };
  [...links].sort((a, b) => a.hop - b.hop).forEach(link => rest.has(link) && follow(link));
  return lines;
}
function flowView() {
  if (!room.links.length) return note('Nothing flows now', make('p', 'Who sends to whom appears here while games are streamed or downloaded.'));
  const byGame = Map.groupBy ? Map.groupBy(room.links, link => link.game) : room.links.reduce((map, link) => map.set(link.game, [...map.get(link.game) || [], link]), new Map());
  const node = (peer, game, source) => {
    const cell = cellAt(peer, game), part = source && !isBusy(cell) ? 100 : percent(cell);
    return make('a.node', { href: address(peer, source && !isBusy(cell) ? '' : game) }, make('b', name(peer)), make('span.mute', part === 100 ? 'source' : part + ' %'), make('i', { '--part': part + '%' }));
  };
  const arrow = link => make('span.arrow', { 'data-slow': link.slow && 'yes' }, make('span', rate(link.bytes_per_second)), link.slow ? make('b', 'slowest link') : make('span.unseen', 'to'));
  const senders = [...peers.values()].filter(peer => peer.send_bytes_per_second).sort((a, b) => b.send_bytes_per_second - a.send_bytes_per_second).slice(0, 8);
  return [...[...byGame].sort((a, b) => b[1].length - a[1].length || natural(a[0], b[0])).map(([game, links]) => make('section.box', { key: game },
    make('h2', linkTo(title(game), '', game), make('small', `${many(new Set(links.map(link => link.to)).size, 'seat')} · ${rate(links.reduce((sum, link) => sum + (link.bytes_per_second || 0), 0))}`)),
    chains(links).map(line => make('div.chain', node(line[0].from, game, true), line.map(link => [arrow(link), node(link.to, game, false)]))))),
  senders.length ? make('section.box', { key: 'senders' }, make('h2', 'Who sends most'), make('ul.lines', senders.map(peer => make('li', linkTo(nameOf(peer), peer.peer),
    make('span', `${rate(peer.send_bytes_per_second)} · ${bits(peer.send_bytes_per_second)}`), make('span.mute', peer.streams_max ? `${peer.streams ?? 0} of ${peer.streams_max} places taken` : ''))))) : ''];
}

// ---- Queue, log, metrics, the wall --------------------------------------------------------------------------------------------
function queueView() {
  const waiting = [...peers.values()].flatMap(peer => [...ofPeer(peer.peer).values()].filter(cell => cell.state === 'waiting' && cell.waiting_for));
  waiting.sort((a, b) => natural(name(a.waiting_for), name(b.waiting_for)) || a.before - b.before);
  return [room.operations.length ? make('section.box', { key: 'own' }, make('h2', 'This machine'), make('ul.lines', room.operations.map(each => make('li', { key: String(each.operation) },
    linkTo(title(each.game), room.self, each.game), make('span', KINDS[each.kind] || shown(each.kind), each.running && each.bytes_total ? ` ${percent(each)} %, ${rate(each.bytes_per_second)}, ${left(each.seconds_left)}` : each.running ? '' : ', waits its turn',
      each.followers > 1 ? make('span.mute', ` · ${each.followers} follow it`) : ''), room.commands === 'none' ? '' : cancel(each)))), make('p', { role: 'status' }, act.said))
    : note('Nothing runs on this machine', make('p', 'Start something from a cell of the room.')),
  waiting.length ? make('section.box', { key: 'others' }, make('h2', 'Waiting at a source'), make('ul.lines', waiting.map(cell => make('li', linkTo(name(cell.peer), cell.peer, cell.game), make('span', title(cell.game)), make('span.mute', words(cell)))))) : ''];
}
function logView() {
  const found = log.filter(each => has([each.event, shown(each.name), shown(each.game), shown(each.message, 300)].join(' ')));
  return [make('div.row', { key: 'tools' }, finder('Find in the log')), found.length ? make('ol.log', { key: 'log' }, found.map(each => make('li', make('time', clock(each.time)), make('b', shown(each.name, 28)), make('span', shown(each.message, 300) || shown(each.event, 40), each.game ? make('span.mute', ' · ' + title(each.game)) : ''), make('code', shown(each.event, 40)))))
    : make('p.mute', { key: 'none' }, log.length ? 'Nothing in the log has these words.' : 'Nothing has happened yet.')];
}
let metrics = 'Asking …';
async function askMetrics() {
  try {
    const reply = await fetch('metrics', { headers: daemon.token ? { Authorization: 'Bearer ' + daemon.token } : {} });
    metrics = reply.ok ? await reply.text() : `The daemon answered ${reply.status}.`;
  } catch { metrics = 'The daemon does not answer.'; }
  drawSoon();
}
const metricsView = () => [make('div.row', { key: 'tools' }, button('Ask again', askMetrics), make('span.mute', 'For Prometheus, at /metrics')), make('pre', { tabindex: '0', 'aria-label': 'Metrics', key: 'text' }, metrics)];
function wallView() {
  const seats = [...peers.values()].filter(peer => peer.seat).sort((a, b) => natural(a.name, b.name)), across = Math.max(2, Math.ceil(Math.sqrt(seats.length * .55)));
  return seats.length ? make('ul.wall', { '--across': across, '--down': Math.ceil(seats.length / across), 'data-many': seats.length > 32 }, seats.map(peer => {
    const group = groupOf(peer), main = mainCell(peer);
    return make('li', { key: peer.peer, 'data-group': group, '--part': group === 'go' ? percent(main) + '%' : null }, make('a', { href: '#room/seat/' + encodeURIComponent(peer.peer) }, make('span', nameOf(peer)), make('b', GROUPS[group] + ' ' + shortWord(peer, group))));
  })) : note('No seat yet', make('p', 'A seat appears when another machine of the party is found.'));
}

// ---- Detail: a seat, a game, or one on the other ------------------------------------------------------------------------------
const opened = { id: '', from: null };
const detailId = () => at.view !== 'overview' && (peers.has(at.seat) || games.has(at.game)) ? pair(at.seat, at.game) : '';
function drawDetail() {
  const panel = byId('detail'), peer = peers.get(at.seat), game = games.get(at.game), id = detailId();
  panel.hidden = !id;
  if (!id) {
    patch(panel);
    if (opened.id) closeDetail();
    return;
  }
  patch(panel, make('div.top', make('h2', { id: 'about', tabindex: '-1' }, peer ? nameOf(peer) : titleOf(game), make('small', peer && game ? titleOf(game) : peer ? shown(peer.addr) : shown(game.game))), make('a.button', { href: address(), 'aria-label': 'Close the details' }, 'Close')),
    peer && game ? cellDetail(peer, game) : peer ? seatDetail(peer) : gameDetail(game));
  if (opened.id === id) return;
  if (!opened.id) opened.from = document.activeElement;
  opened.id = id;
  byId('about').focus({ preventScroll: true });
}
function closeDetail() {
  const from = opened.from;
  Object.assign(opened, { id: '', from: null });
  // The table may have been built again meanwhile: then the cell of the same seat and game takes the focus.
  const node = from?.at ? nodeAt(...from.at) : from;
  (node?.isConnected && node !== document.body ? node : byId('main')).focus({ preventScroll: true });
}
const trouble = each => each.message ? make('div.trouble', { 'data-group': each.state ? of(each).group : 'up' }, make('b', shown(each.message, 300)), each.hint ? make('p', shown(each.hint, 400)) : '') : '';
const warningsOf = (peer, game) => room.warnings.filter(each => each.peer === peer && (!game || !each.game || each.game === game)).map(trouble);
function cellDetail(peer, game) {
  const cell = cellAt(peer.peer, game.game);
  return [make('p', pill(cell), cell.version && cell.version !== game.version ? make('small', ` has ${shown(cell.version, 20)}, wanted ${shown(game.version, 20)}`) : ''), trouble(cell), warningsOf(peer.peer, game.game),
    isBusy(cell) ? [bar(percent(cell), words(cell)), facts([['Done', `${bytes(cell.bytes)} of ${bytes(cell.bytes_total)}`], ['Rate', cell.bytes_per_second ? `${rate(cell.bytes_per_second)}, ${bits(cell.bytes_per_second)}` : '–'], ['Left', left(cell.seconds_left)],
      cell.source && ['From', linkTo(name(cell.source), cell.source)], cell.attempt > 1 && ['Attempt', cell.attempt]])] : '',
    cell.state === 'installed' && !cell.shareable ? make('details', { open: true }, make('summary', 'Why is it not shareable?'),
      make('p', `It was streamed from the archive of another machine, and the archive was not kept: that saved ${bytes(game.bytes)} on this seat. Only archives can be passed on. Download it to make this seat a source.`)) : '',
    cell.attempts?.length ? [make('h3', 'What was tried'), make('ul.lines', cell.attempts.map(each => make('li', make('b', name(each.peer)), make('code', shown(each.code, 40)), make('span.mute', shown(each.message, 300)))))] : '',
    actions(game, [peer.peer]), make('p.row', linkTo('All of ' + nameOf(peer), peer.peer), linkTo(titleOf(game) + ' on every seat', '', game.game))];
}
function seatDetail(peer) {
  const ends = (here, there) => [...new Set(room.links.filter(link => link[here] === peer.peer).map(link => link[there]))].map(name).join(', ');
  const flow = (speed, word, list) => speed ? `${rate(speed)}, ${bits(speed)}${list ? ` ${word} ${list}` : ''}` : '–';
  return [facts([peer.seat && ['Ready', `${peer.games_ready} of ${peer.games_wanted} games`], peer.state !== 'here' && ['No word', 'for ' + left((peer.silent_ms ?? 0) / 1000)], ['Free disk', bytes(peer.free_bytes)],
    ['Receives', flow(peer.receive_bytes_per_second, 'from', ends('to', 'from'))], ['Sends', flow(peer.send_bytes_per_second, 'to', ends('from', 'to'))], ['Program', shown(peer.version, 20) || '–'],
    ['Identity', make('code', shown(peer.peer, 64))], ['Commands', peer.peer === room.self ? 'this machine' : peer.accepts ? 'accepts installs from here' : 'does not accept installs from here']]), warningsOf(peer.peer),
  make('h3', 'Games'), make('ul.lines', gamesInOrder().map(game => cellAt(peer.peer, game.game)).filter(cell => cell.state !== 'absent' || games.get(cell.game).wanted).map(cell => make('li', linkTo(title(cell.game), peer.peer, cell.game), pill(cell)))),
  peer.peer === room.self ? offered(peer) : ''];
}
// What this machine could have: the way to an install for a newcomer whose list is empty.
function offered(peer) {
  const list = gamesInOrder().filter(game => cellAt(peer.peer, game.game).state === 'absent' && !game.wanted && game.peers.length);
  return list.length ? [make('h3', 'Offered by others'), make('ul.lines', list.map(game => make('li', linkTo(titleOf(game), peer.peer, game.game), make('span.mute', `${bytes(game.unpacked_bytes)} installed`))))] : '';
}
let everywhere = false;
function gameDetail(game) {
  const seats = [...peers.values()].filter(peer => peer.seat), without = seats.filter(peer => peer.state === 'here' && peer.accepts && /^(absent|failed|interrupted)$/.test(cellAt(peer.peer, game.game).state)).map(peer => peer.peer);
  const byState = Object.keys(STATES).map(each => [each, seats.filter(peer => cellAt(peer.peer, game.game).state === each).map(nameOf)]).filter(([, list]) => list.length);
  return [facts([['Version', shown(game.version, 20) || '–'], ['Archive', bytes(game.bytes)], ['Installed', bytes(game.unpacked_bytes) + (game.files ? `, ${many(game.files, 'file')}` : '')], ['Offered by', game.peers.map(name).join(', ') || 'no peer now']]),
    room.commands === 'room' ? choice('Where', [[false, 'On ' + name(room.self)], [true, `On ${many(without.length, 'seat')} without it`]], everywhere, each => everywhere = each) : '',
    actions(game, everywhere && room.commands === 'room' ? without : [room.self]),
    make('h3', 'Seats'), make('ul.lines', byState.map(([each, list]) => make('li', make('span.pill', { 'data-group': STATES[each].group }, STATES[each].glyph + ' ' + STATES[each].word), make('span.mute', list.length < 6 ? list.join(', ') : many(list.length, 'seat')))))];
}

// ---- Actions: the daemon says what is possible, what it needs and why not -------------------------------------------------------
const act = { id: '', list: [], said: '', confirm: '' };
async function askActions(game, who, id) {
  Object.assign(act, { id, list: [] });
  try {
    const query = new URLSearchParams([['game', game.game], ...who.map(peer => ['peer', peer])]), answer = await ask('GET', 'actions?' + query);
    if (act.id === id) act.list = answer.actions;
  } catch (error) { if (act.id === id && error.refused) act.said = `The daemon refused: ${error.message}.`; }
  drawSoon();
}
function actions(game, who) {
  if (room.commands === 'none') return make('p.mute', 'This page only shows: its daemon takes no commands from it.');
  if (!who.length) return make('p.mute', 'Every seat that accepts installs from here has it.');
  const id = [daemon.turn, game.game, ...who.map(peer => peer + cellAt(peer, game.game).state + cellAt(peer, game.game).operation)].join();
  if (act.id !== id && daemon.state === 'live') askActions(game, who, id);
  const own = cellAt(who[0], game.game), possible = act.list.filter(each => !each.reason && (each.kind !== 'cancel' || (who[0] === room.self && own.operation != null))), not = act.list.filter(each => each.reason);
  return [make('h3', 'Do'), make('ul.actions', possible.map((each, index) => make('li', { key: each.kind },
    each.kind === 'cancel' ? cancel(own) : who.length > 1 ? twicePressed(KINDS[each.kind], each.kind, `This starts on ${many(who.length, 'seat')}.`, () => start(each.kind, game, who))
      : button(KINDS[each.kind], () => start(each.kind, game, who), { class: index || each.kind === 'verify' ? '' : 'main' }), make('span.mute', shown(each.message, 300))))),
  not.length ? make('p.mute', 'Not now: ' + not.map(each => `${KINDS[each.kind]} (${shown(each.reason, 120)})`).join(', ') + '.') : '',
  make('p', { role: 'status', key: 'said' }, act.said), daemon.locked ? tokenForm() : ''];
}
// What drops data or starts on many seats is pressed twice, at one place. A double click and a held key count once.
function twicePressed(text, id, consequence, run, label) {
  const asked = act.confirm === id, choose = (confirm, then) => { act.confirm = confirm; then?.(); draw(); };
  return make('span.twice', asked ? make('small', { key: 'why' }, consequence) : '',
    button(asked ? `Yes, ${text.toLowerCase()}` : text, event => { if (event.detail < 2) choose(asked ? '' : id, asked ? run : null); }, { key: 'yes', class: asked ? 'danger' : '', 'aria-label': label && (asked ? `Yes, ${label}` : label) }),
    asked ? button('No', () => choose(''), { key: 'no' }) : '');
}
const cancel = each => twicePressed('Cancel', 'cancel ' + each.operation, each.kind === 'download' ? 'What has arrived is kept for the next time.' : 'What has arrived is dropped.',
  () => command('DELETE', 'operations/' + each.operation, undefined, 'Cancelled.'), `Cancel ${KINDS[each.kind] || ''} ${title(each.game)}`);
const start = (kind, game, who) => command('POST', 'operations', { kind, game: game.game, peers: who }, 'Accepted.');
async function command(method, path, body, done) {
  const say = text => { act.said = text; draw(); };
  if (daemon.state !== 'live') return say('The daemon does not answer: nothing was started.');
  say('Asking …');
  try {
    await ask(method, path, body);
    say(done);
  } catch (error) {
    say(error.refused ? `Refused: ${error.message}. ${shown(error.hint)}` : 'No answer. The room shows whether it was done.');
  }
}

// ---- Start ------------------------------------------------------------------------------------------------------------------------
addEventListener('hashchange', () => {
  readAddress();
  Object.assign(act, { said: '', confirm: '' });
  if (at.view === 'metrics') askMetrics();
  draw();
});
addEventListener('keydown', event => {
  if (event.repeat && event.key === 'Enter' && event.target.localName === 'button') event.preventDefault();
  if (event.key === 'Escape' && !(event.target.localName === 'input' && event.target.value)) location.hash = at.view === 'overview' ? '#room' : address();
});
addEventListener('resize', drawSoon);
byId('skip').addEventListener('click', event => { event.preventDefault(); byId('main').focus(); });
readAddress();
if (at.view === 'metrics') askMetrics();
draw();
connect();
