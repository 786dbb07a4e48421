'use strict';
/* The room page. Everything that peers say is text: elements come from createElement, words from text nodes, and no
   markup is ever parsed. The daemon decides what is ready, what is possible and why not. The page shows it. */

const byId = id => document.getElementById(id);
const phone = matchMedia('(max-width: 44rem)');

// ---- Text
// Characters that no one sees let a name pass for another one. They are shown as U+FFFD, and heaps of marks are cut.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u2800\u3164\uffa0]+/gu;
function shown(value, longest = 300) {
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
const bothRates = speed => speed ? `${rate(speed)}, ${bits(speed)}` : '–';
function left(seconds) {
  if (seconds == null) return '–';
  if (seconds <= 55) return Math.max(5, Math.ceil(seconds / 5) * 5) + '\u00a0s';
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? minutes + '\u00a0min' : Math.floor(minutes / 60) + '\u00a0h ' + minutes % 60 + '\u00a0min';
}
const clock = time => new Date(time).toLocaleTimeString('en-GB');
const many = (count, thing) => count + ' ' + thing + (count === 1 ? '' : 's');
const natural = new Intl.Collator('en', { numeric: true }).compare;

// ---- States: the word and the glyph mean, the group only colours
const state = (word, glyph, group, short = word) => ({ word, glyph, group, short });
const STATES = {
  installed: state('installed', '✓', 'ok'), downloaded: state('archive here', '▣', 'ok'),
  streaming: state('streaming', '▸', 'go', 'stream'), downloading: state('downloading', '▸', 'go', 'load'),
  installing: state('unpacking', '▸', 'go', 'unpack'), updating: state('updating', '▸', 'go', 'update'),
  verifying: state('verifying', '▸', 'go', 'verify'), repairing: state('repairing', '▸', 'go', 'repair'),
  waiting: state('waiting', '◷', 'wait'), outdated: state('update available', '↑', 'up', 'old version'),
  interrupted: state('interrupted', '‖', 'up', 'stopped'), damaged: state('damaged', '!', 'bad'),
  failed: state('failed', '✕', 'bad'), unknown: state('no word', '?', 'lost'), absent: state('not here', '·', 'no'),
  warning: state('look at it', '!', 'up'),
};
const REASONS = { 'not-enough-space': 'disk full', 'all-sources-failed': 'no source', 'checksum-mismatch': 'bad data' };
const KINDS = {
  'stream-install': 'Low-disk install', download: 'Download', install: 'Unpack', update: 'Update', verify: 'Verify',
  repair: 'Repair', cancel: 'Cancel',
};
// From the worst to the best.
const GROUPS = { bad: '✕', lost: '?', go: '▸', wait: '◷', up: '↑', ok: '✓', no: '·' };
// The state of a cell, or of a warning, which has none.
const of = each => STATES[each.state ?? (each.code === 'no-word' ? 'unknown' : 'warning')] || STATES.unknown;
const isBad = cell => /bad|lost/.test(of(cell).group);
const isBusy = cell => of(cell).group === 'go';
const percent = part => part.bytes_total ? Math.min(99, Math.floor(part.bytes / part.bytes_total * 100)) : 0;
const reason = cell => cell.state === 'failed' && cell.code ? REASONS[cell.code] || shown(cell.code, 20).replaceAll('-', ' ') : of(cell).short;

// ---- The room, as it was last heard of
let room = null, log = [], twice = new Set(), groups = new Map();
const peers = new Map(), games = new Map(), cells = new Map(), changed = new Set(), news = [];
const pair = (peer, game) => peer + '\n' + game;
const ofPeer = peer => [...(cells.get(peer)?.values() ?? [])];
const cellAt = (peer, game) => cells.get(peer)?.get(game) || { peer, game, state: 'absent' };
const seats = () => [...peers.values()].filter(peer => peer.seat);

const alike = text => text.normalize('NFKC').toLowerCase();
const mixed = text => /\p{sc=Latin}/u.test(text) && /[\p{sc=Cyrillic}\p{sc=Greek}\p{sc=Armenian}\p{sc=Cherokee}]/u.test(text);
function nameOf(peer) {
  const name = shown(peer.name, 28);
  const doubtful = !name || /^\(|\ufffd/.test(name) || mixed(name) || twice.has('peer ' + alike(name));
  // All identities begin alike.
  return doubtful ? `${name || '(no name)'} ·${shown(peer.peer).replace(/^peer1/, '').slice(0, 4)}` : name;
}
function titleOf(game) {
  const title = shown(game.title || game.game, 40), id = shown(game.game, 40);
  return title !== id && twice.has('game ' + alike(title)) ? `${title} (${id})` : title;
}
const name = id => peers.has(id) ? nameOf(peers.get(id)) : '(gone)';
const title = id => games.has(id) ? titleOf(games.get(id)) : shown(id, 40) || '(gone)';
const byName = list => list.sort((a, b) => a.seat - b.seat || natural(a.name, b.name));
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
    const ofItsPeer = cells.get(cell.peer), before = ofItsPeer.get(cell.game);
    if (before && before.state !== cell.state && (cell.state === 'installed' || isBad(cell))) {
      news.push(`${name(cell.peer)}: ${title(cell.game)} ${words(cell)}`);
    }
    if (cell.state === 'absent' && !games.get(cell.game)?.wanted) ofItsPeer.delete(cell.game);
    else ofItsPeer.set(cell.game, cell);
    changed.add(pair(cell.peer, cell.game));
  }
  const { peers: _peers, games: _games, cells: _cells, ...rest } = delta;
  Object.assign(room, rest);
  groups = new Map();
  // Also while the tab is hidden: its title is all that can be seen then.
  const { ready, seats, problems } = room.summary;
  document.title = `${ready}/${seats} ready${problems ? ` · ${problems} need you` : ''} – ${shown(room.party, 40) || 'Room'}`;
}
function takeWhole(snapshot) {
  for (const peer of cells.keys()) for (const cell of ofPeer(peer)) changed.add(pair(peer, cell.game));
  for (const map of [peers, games, cells]) map.clear();
  room = {};
  take(snapshot);
}
// Ends and failures are spoken, in one sentence in 5 s at most. Percentages never are.
setInterval(() => {
  const ends = news.splice(0);
  if (!ends.length || !room) return;
  const more = ends.length > 3 ? `, and ${ends.length - 3} more` : '';
  byId('say').textContent = `${ends.slice(0, 3).join('. ')}${more}. ${room.summary.ready} of ${room.summary.seats} seats ready.`;
}, 5000);

// ---- The daemon
const SILENCE_MS = 12000, WAITS_S = [1, 2, 4, 8, 15];
const daemon = { state: 'wait', heard: 0, failures: 0, retry: 0, timer: 0, turn: 0, stream: null, token: '', locked: '', why: '' };

const bearer = () => daemon.token ? { Authorization: 'Bearer ' + daemon.token } : {};
async function ask(method, path, body) {
  const headers = { ...bearer(), ...(method !== 'GET' && { 'Content-Type': 'application/json' }) };
  const reply = await fetch('api/v1/' + path, { method, headers, body: body && JSON.stringify(body), redirect: 'error' });
  const answer = await reply.json().catch(() => ({}));
  if (reply.ok) return answer;
  if (reply.status === 401) daemon.locked = daemon.token ? 'This token was not accepted.' : 'A token is needed.';
  throw { answered: true, ...answer, message: shown(answer.message) || `the daemon answered ${reply.status}` };
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
    if (turn === daemon.turn) lose(error.answered ? error.message : '');
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

// ---- Elements: what is wanted is compared with what is there, so focus and scrolling stay
function make(tag, ...rest) {
  const [element, ...classes] = tag.split('.'), first = rest[0];
  const props = first && typeof first === 'object' && !Array.isArray(first) && !first.element ? rest.shift() : {};
  const className = [...classes, props.class].filter(Boolean).join(' ');
  return { element, props: className ? { ...props, class: className } : props, kids: flat(rest) };
}
const flat = kids => kids.flat(9).filter(kid => kid != null && kid !== false && kid !== '');
function set(node, prop, value) {
  if (prop.startsWith('on') || prop === 'value' || prop === 'at') node[prop] = value ?? null;
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
const mute = (...text) => make('span.mute', text);
// Commands stand between backticks in what the daemon says.
const told = text => shown(text).split('`').map((part, index) => index % 2 ? make('code', part) : part);
const hintOf = each => each.hint ? mute(' – ', told(each.hint)) : '';
const linkTo = (text, peer, game) => make('a', { href: address(peer, game) }, text);
const lines = (list, line) => make('ul.lines', list.map(each => make('li', line(each))));
const badge = ({ group, glyph }, text) => make('span.pill', { 'data-group': group }, `${glyph} ${text}`);
const pill = cell => badge(of(cell), words(cell));
const facts = rows => make('dl', rows.filter(Boolean).map(([term, ...what]) => [make('dt', term), make('dd', what)]));
const choice = (label, options, value, choose) => make('div.choice', { role: 'group', 'aria-label': label },
  options.map(([each, text]) => button(text, () => { choose(each); draw(); }, { 'aria-pressed': String(each === value) })));
const finder = label => make('label', make('span.unseen', label),
  make('input', { type: 'search', placeholder: label, value: find, oninput: event => { find = event.target.value; draw(); } }));
const note = (heading, ...text) => make('div.note', { key: heading }, make('h2', heading), text);

// ---- Words about a cell and a seat
function words(cell) {
  const { word, group } = of(cell);
  if (group === 'go') return `${word} ${percent(cell)} %`;
  if (cell.state === 'installed') return word + (cell.shareable ? ', shares it' : ', not shareable');
  if (cell.state === 'downloaded') return word + ', shares it';
  if (cell.state === 'waiting' && cell.waiting_for) return `waiting for ${name(cell.waiting_for)}, ${cell.before ?? '?'} before it`;
  return cell.state === 'failed' && cell.code ? `${word}: ${reason(cell)}` : word;
}
// The cell that says most about a seat: what is wrong, else what takes longest, waits, or is not as it is wanted.
function mainCell(peer) {
  const isOld = cell => of(cell).group === 'up' && games.get(cell.game)?.wanted;
  const weight = cell => isBad(cell) ? 4 : isBusy(cell) ? 3 : cell.state === 'waiting' ? 2 : isOld(cell) ? 1 : 0;
  let main = null, most = 0;
  for (const cell of ofPeer(peer.peer)) {
    const here = weight(cell);
    if (here > most || (here && here === most && cell.seconds_left > main.seconds_left)) [main, most] = [cell, here];
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
function shortWord(peer) {
  const group = groupOf(peer), main = mainCell(peer);
  if (group === 'bad') return reason(main);
  if (group === 'go') return left(main.seconds_left ?? peer.seconds_left);
  return { lost: 'no word', ok: 'ready', no: 'source' }[group] || (main ? of(main).short : 'not started');
}
const gamesReady = peer => peer.seat ? `${peer.games_ready} of ${peer.games_wanted}` : 'source';

// ---- Where we are: #view/seat/ID/game/ID
let at = { view: 'room' };
// Details have no place on the wall.
const address = (peer, game) => '#' + (at.view === 'overview' ? 'room' : at.view) + (peer ? '/seat/' + encodeURIComponent(peer) : '') + (game ? '/game/' + encodeURIComponent(game) : '');
function readAddress() {
  const parts = location.hash.slice(1).split('/').map(part => {
    try { return decodeURIComponent(part); } catch { return ''; }
  });
  at = { view: Object.hasOwn(VIEWS, parts[0]) ? parts[0] : 'room' };
  for (let i = 1; i + 1 < parts.length; i += 2) if (parts[i] === 'seat' || parts[i] === 'game') at[parts[i]] = parts[i + 1];
}

// ---- Drawing: at most once a frame, and not while the tab is hidden
const VIEWS = { room: roomView, flow: flowView, queue: queueView, log: logView, metrics: metricsView, overview: wallView };
let due = 0;
const drawSoon = () => due ||= requestAnimationFrame(draw);
function draw() {
  cancelAnimationFrame(due);
  due = 0;
  const wall = at.view === 'overview', gone = daemon.state === 'gone', seconds = Math.ceil((daemon.retry - Date.now()) / 1000);
  // Before the table is measured: open details take width from it.
  Object.assign(document.body.dataset, { view: at.view, live: daemon.state, open: detailId() ? 'yes' : '' });
  patch(byId('party'), room && shown(room.party, 40) || 'Room');
  for (const link of byId('views').children) set(link, 'aria-current', link.hash === '#' + at.view && 'page');
  patch(byId('live'), { live: '● live', wait: '○ connecting', gone: '○ no answer' }[daemon.state]);
  byId('gone').hidden = !(gone && room);
  patch(byId('lost'), gone && room ? [make('b', daemon.locked || 'The daemon does not answer.'), daemon.why && !daemon.locked ? ` It says: ${daemon.why}.` : '',
    ` This is the room as it was at ${clock(daemon.heard)}. Installs continue without this page.`] : '');
  // Not in the alert: that would be spoken each second.
  patch(byId('again'), !(gone && room) ? '' : daemon.locked ? tokenForm() : [seconds > 0 ? `Next try in ${seconds} s. ` : 'Trying. ', button('Try now', connect)]);
  patch(byId('answer'), room?.summary.seats ? figures(room.summary) : '');
  patch(byId('needs'), room && (wall || at.view === 'room') ? needs() : '');
  patch(byId('view'), room ? VIEWS[at.view]() : beforeRoom(gone));
  if (byId('grid')) drawGrid();
  drawDetail();
}
function beforeRoom(gone) {
  if (daemon.locked) return note('This room needs a token', make('p', 'The daemon wrote it to a file when it started, and printed where.'), tokenForm());
  return gone ? note('The daemon does not answer', make('p', daemon.why ? `It says: ${daemon.why}. ` : 'Is it running on that machine? ', 'The page tries again by itself.'))
    : note('Asking the daemon …');
}
function tokenForm() {
  const use = event => {
    event.preventDefault();
    const typed = event.target.elements[0].value.trim();
    // A header can carry nothing else, and no token has anything else.
    if (!/^[\x21-\x7e]+$/.test(typed)) return;
    Object.assign(daemon, { token: typed, locked: '' });
    act.said = 'Now press again.';
    connect();
    draw();
  };
  return make('form', { key: 'token', onsubmit: use }, make('label', 'Token ', make('input', { type: 'password', autocomplete: 'off' })),
    make('button', 'Use it'), daemon.token ? make('p', { role: 'status' }, daemon.locked) : '');
}

// ---- The answer: four figures, one bar, what needs you
const BAR = [['ok', 'ready', /ok/], ['go', 'working', /go/], ['wait', 'waiting', /wait|up/], ['bad', 'stuck', /bad|lost/]];
function figures(sum) {
  const figure = (kind, number, ...text) => make('p.figure' + kind, make('b', number), make('span', text));
  return [make('div.figures',
    figure('.lead', [sum.ready, make('i', ' of ' + sum.seats)], 'seats ready'),
    figure('', left(sum.seconds_left), sum.slowest ? ['until the slowest, ', linkTo(name(sum.slowest), sum.slowest)] : 'nothing is running'),
    figure('', rate(sum.bytes_per_second), sum.bytes_per_second ? bits(sum.bytes_per_second) + ' between seats' : 'between seats'),
    figure(sum.problems ? '.alarm' : '', sum.problems || 'nothing', sum.problems > 1 ? 'things need you' : sum.problems ? 'thing needs you' : 'needs you')),
  make('p.bar', BAR.map(([group, text, which]) => {
    const count = seats().filter(peer => which.test(groupOf(peer))).length;
    return count ? make('span', { 'data-group': group, '--seats': count }, make('b', count), ' ' + text) : '';
  }))];
}
const NEEDS_SHOWN = 5;
let allNeeds = false;
function needs() {
  const list = [...byName([...peers.values()]).flatMap(peer => ofPeer(peer.peer).filter(cell => of(cell).group === 'bad')), ...room.warnings];
  const rows = list.slice(0, allNeeds ? 99 : NEEDS_SHOWN);
  return list.length ? [make('h2', 'Needs you'), make('ul', rows.map(each => make('li', { 'data-group': of(each).group }, make('span.icon', { 'aria-hidden': 'true' }, of(each).glyph),
    make('a', { href: address(each.peer, each.game) }, make('b', name(each.peer)), each.game ? ' ' + title(each.game) : ''),
    make('span', told(each.message || words(each)), hintOf(each))))),
  list.length > rows.length ? button(`${list.length - rows.length} more`, () => { allNeeds = true; draw(); }) : ''] : '';
}

// ---- Room: a table, or a list on a phone
let find = '', which = 'all', order = 'name', rows = [], columns = [];
const has = text => text.toLowerCase().includes(find.trim().toLowerCase());
function roomView() {
  if (room.looking) {
    return note('No other peer is here yet', make('p', told(`${room.looking.message}. ${room.looking.hint ?? ''}`)),
      make('p', 'This machine is reachable at:'), room.looking.addrs.map(addr => make('p', make('code', shown(addr, 80)))));
  }
  if (!games.size) {
    return note(`${many(peers.size, 'machine')} here, no game yet`, make('p', [...peers.values()].map(peer => [make('span.pill', nameOf(peer)), ' '])),
      make('p', 'Put the folder of a game, with its .eti archives and version.ini, into the games directory of one machine. It is offered a few seconds later.'));
  }
  const all = gamesInOrder(), found = find.trim() ? all.filter(game => has(titleOf(game)) || has(shown(game.game))) : [], worst = Object.keys(GROUPS);
  columns = found.length ? found : all;
  rows = byName([...peers.values()].filter(peer => (found.length || has(nameOf(peer))) && (which === 'all' || (peer.seat && !peer.ready))));
  if (order === 'worst') rows.sort((a, b) => worst.indexOf(groupOf(a)) - worst.indexOf(groupOf(b)));
  return [make('div.row', { key: 'tools' }, finder('Find seat or game'),
    choice('Show', [['all', 'All seats'], ['not', 'Not ready']], which, each => which = each),
    choice('Order', [['name', 'By name'], ['worst', 'Worst first']], order, each => order = each)),
  !rows.length ? make('p.mute', { key: 'none' }, find.trim() ? 'No seat and no game has that name.' : 'Every seat is ready.')
    : phone.matches ? tiles('list', rows) : [make('div', { key: 'grid', id: 'grid', own: true }), make('p', { key: 'read', id: 'read', own: true })]];
}
// A tile for each seat: below each other on a phone, all at once on the wall.
const tiles = (kind, list, props) => make('ul.' + kind, { key: kind, ...props }, list.map(peer => {
  const group = groupOf(peer), main = mainCell(peer);
  return make('li', { key: peer.peer, 'data-group': group, '--part': group === 'go' ? percent(main) + '%' : null }, make('a', { href: address(peer.peer) },
    make('span', nameOf(peer)), make('b', (group === 'bad' ? of(main).glyph : GROUPS[group]) + ' ' + shortWord(peer)),
    make('small', gamesReady(peer), main ? ` · ${title(main.game)} ${words(main)}` : '')));
}));

// The table is made again when its columns, its rows or its density change. Otherwise a cell is touched only if its picture
// has changed.
const grid = { shape: '', density: '', nodes: new Map(), focus: ['', ''], read: ['', ''] };
const nodeAt = (peer, game) => grid.nodes.get(pair(peer, game));
function drawGrid() {
  const box = byId('grid'), width = byId('view').clientWidth - 216, focused = box.contains(document.activeElement);
  grid.density = columns.length * 92 <= width ? 'wide' : columns.length * 40 <= width ? 'middle' : 'dense';
  const heads = columns.map(game => [game.game, titleOf(game), shown(game.version, 12), game.wanted]);
  const shape = JSON.stringify([grid.density, heads, rows.map(peer => peer.peer)]);
  if (shape !== grid.shape || !box.firstChild) {
    grid.shape = shape;
    patch(box, tableOf(heads));
    grid.nodes = new Map([...box.querySelectorAll('th, td')].map(node => [pair(...node.at), node]));
    for (const { peer } of rows) for (const { game } of columns) changed.add(pair(peer, game));
  }
  for (const each of changed) paint(...each.split('\n'));
  changed.clear();
  rows.forEach(paintHead);
  if (!nodeAt(...grid.focus)) grid.focus = ['', ''];
  moveTo(...grid.focus, focused && !box.contains(document.activeElement));
  read(grid.read);
}
function tableOf(heads) {
  const cell = (tag, at, props, ...kids) => make(tag, { key: at.join() || ' ', at, tabindex: -1, ...props }, kids);
  return make('table', { class: grid.density, role: 'grid', 'aria-label': 'Seats and games', 'aria-readonly': 'true', 'aria-rowcount': rows.length + 1, 'aria-colcount': heads.length + 1,
    onkeydown: gridKey, onclick: event => openAt(event.target.closest('td,th')), onpointerover: event => read(event.target.closest('td,th')?.at) },
  make('thead', make('tr', cell('th', ['', ''], { scope: 'col' }, 'Seat'), heads.map(([game, title, version, wanted]) =>
    cell('th', ['', game], { scope: 'col', class: wanted ? 'wanted' : '', 'aria-label': `${title} ${version}${wanted ? ', wanted' : ''}` },
      make('span', title), make('small', version))))),
  make('tbody', rows.map(({ peer }) => make('tr', { key: peer }, cell('th', [peer, ''], { scope: 'row', own: true }), heads.map(([game]) => cell('td', [peer, game], { own: true }))))));
}
function show(node, group, label, part, ...texts) {
  const picture = [group, label, part, ...texts].join('\n');
  if (node.picture === picture) return;
  Object.assign(node, { picture, ariaLabel: label });
  node.dataset.group = group;
  if (part !== '') node.style.setProperty('--part', part + '%');
  patch(node, node.localName === 'td' ? texts : texts.map(text => make('span', text)));
}
function paint(peer, game) {
  const node = nodeAt(peer, game), cell = cellAt(peer, game);
  if (!node) return;
  const { glyph, group, short } = of(cell), part = group === 'go' ? percent(cell) : '', wide = grid.density === 'wide';
  let text = glyph;
  if (group === 'go') text = wide ? `${short} ${part} %` : grid.density === 'middle' ? String(part) : '';
  else if (wide && isBad(cell)) text += ' ' + reason(cell);
  else if (wide && cell.state === 'outdated') text += ' ' + shown(cell.version, 9);
  else if (wide && cell.state === 'waiting') text += ' waiting';
  else if (wide && cell.state === 'installed' && cell.shareable) text += ' shares';
  show(node, group === 'ok' && !games.get(game)?.wanted ? 'extra' : group, words(cell), part, text);
}
function paintHead(peer) {
  const group = groupOf(peer), left = { bad: 'stuck', lost: 'silent', go: shortWord(peer) }[group] || '';
  show(nodeAt(peer.peer, ''), group, `${nameOf(peer)}, ${gamesReady(peer)}${peer.seat ? ' games ready' : ''} ${left}`, '', nameOf(peer), gamesReady(peer).replace(' of ', '/'), left);
}
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
const STEPS = {
  ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0], PageDown: [10, 0], PageUp: [-10, 0],
  Home: [0, -1e9], End: [0, 1e9], CtrlHome: [-1e9, -1e9], CtrlEnd: [1e9, 1e9],
};
function gridKey(event) {
  const ids = [['', ...rows.map(peer => peer.peer)], ['', ...columns.map(game => game.game)]];
  const here = ids.map((list, index) => list.indexOf(grid.focus[index])), step = STEPS[(event.ctrlKey && /Home|End/.test(event.key) ? 'Ctrl' : '') + event.key];
  if (event.altKey || event.metaKey || !(step || /^(Enter|n)$/.test(event.key)) || (event.ctrlKey && event.key === 'n')) return;
  event.preventDefault();
  if (event.key === 'Enter') openAt(event.target);
  else if (step) moveTo(...ids.map((list, index) => list[Math.max(0, Math.min(list.length - 1, here[index] + step[index]))]), true);
  else moveTo(...nextProblem(here, ...ids), true);
}
function nextProblem([line, column], lines, list) {
  const size = lines.length * list.length;
  for (let step = 1; step <= size; step++) {
    const index = (line * list.length + column + step) % size, peer = lines[Math.floor(index / list.length)], game = list[index % list.length];
    if (peer && game && isBad(cellAt(peer, game))) return [peer, game];
  }
  return grid.focus;
}
// The line under the table, about the cell under the pointer or the focus.
function read(where) {
  grid.read = where || grid.read;
  const peer = peers.get(grid.read[0]), game = games.get(grid.read[1]);
  const text = peer && game ? sentence(cellAt(...grid.read)) : peer ? `${nameOf(peer)} · ${shown(peer.addr)} · ${bytes(peer.free_bytes)} free`
    : game ? `${titleOf(game)} · archive ${bytes(game.bytes)}, installed ${bytes(game.unpacked_bytes)}`
      : 'Point at a cell, or move to it with Tab and the arrow keys. n: next problem. Enter: details.';
  if (byId('read').textContent !== text) byId('read').textContent = text;
}
const sentence = cell => [
  name(cell.peer), title(cell.game), words(cell),
  isBusy(cell) && `${bytes(cell.bytes)} of ${bytes(cell.bytes_total)}, ${rate(cell.bytes_per_second)}, ${left(cell.seconds_left)} left`,
  cell.source && 'from ' + name(cell.source),
  cell.version && shown(cell.version, 20) + (cell.state === 'outdated' ? `, wanted ${shown(games.get(cell.game)?.version, 20)}` : ''),
  cell.message && shown(cell.message),
].filter(Boolean).join(' · ');

// ---- Flow: who feeds whom
// The lines of one game: each chain from its source to its last follower. A download is a line of one link.
function chains(links) {
  const rest = new Set(links), found = [];
  for (const link of [...links].sort((a, b) => a.hop - b.hop)) {
    const line = [];
    for (let next = rest.has(link) && link; next; next = link.kind === 'stream' && [...rest].find(each => each.kind === 'stream' && each.from === next.to)) {
      rest.delete(next);
      line.push(next);
    }
    if (line.length) found.push(line);
  }
  return found;
}
function flowView() {
  if (!room.links.length) return note('Nothing flows now', make('p', 'Who sends to whom appears here while games are streamed or downloaded.'));
  const node = (peer, game, isSource) => {
    const cell = cellAt(peer, game), part = isSource && !isBusy(cell) ? 100 : percent(cell);
    return make('a.node', { href: address(peer, part === 100 ? '' : game) }, make('b', name(peer)), mute(part === 100 ? 'source' : part + ' %'), make('i', { '--part': part + '%' }));
  };
  const arrow = link => make('span.arrow', { 'data-slow': link.slow && 'yes' }, make('span', rate(link.bytes_per_second)),
    link.slow ? make('b', 'slowest link') : make('span.unseen', 'to'));
  const seatsIn = links => many(new Set(links.map(link => link.to)).size, 'seat');
  const rateOf = links => bothRates(links.reduce((sum, link) => sum + (link.bytes_per_second || 0), 0));
  const games = [...Map.groupBy(room.links, link => link.game)].sort((a, b) => b[1].length - a[1].length || natural(a[0], b[0]));
  return games.map(([game, links]) => make('section.box', { key: game },
    make('h2', linkTo(title(game), '', game), ' ', make('small', `${seatsIn(links)} · ${rateOf(links)}`)),
    chains(links).map(line => make('div.chain', node(line[0].from, game, true), line.map(link => [arrow(link), node(link.to, game, false)])))));
}

// ---- Queue, log, metrics, the wall
function queueView() {
  const waiting = [...peers.keys()].flatMap(ofPeer).filter(cell => cell.state === 'waiting' && cell.waiting_for);
  waiting.sort((a, b) => natural(name(a.waiting_for), name(b.waiting_for)) || a.before - b.before);
  const progress = each => !each.running ? ', waits its turn' : each.bytes_total ? ` ${percent(each)} %, ${rate(each.bytes_per_second)}, ${left(each.seconds_left)}` : '';
  return [room.operations.length ? make('section.box', { key: 'own' }, make('h2', 'This machine'), lines(room.operations, each => [
    linkTo(title(each.game), room.self, each.game), make('span', (KINDS[each.kind] || shown(each.kind)) + progress(each)),
    each.followers > 1 ? mute(`${each.followers} follow it`) : '', room.commands === 'none' ? '' : cancel(each)]), said())
    : note('Nothing runs on this machine', make('p', 'Start something from a cell of the room.')),
  waiting.length ? make('section.box', { key: 'others' }, make('h2', 'Waiting at a source'),
    lines(waiting, cell => [linkTo(name(cell.peer), cell.peer, cell.game), make('span', title(cell.game)), mute(words(cell))])) : ''];
}
function logView() {
  const found = log.filter(each => has([each.event, shown(each.name), shown(each.game), shown(each.message)].join(' ')));
  return [make('div.row', { key: 'tools' }, finder('Find in the log')), found.length ? make('ol.box.log', { key: 'log' }, found.map(each => make('li', make('time', clock(each.time)),
    make('b', shown(each.name, 28)), make('span', shown(each.message) || shown(each.event, 40), each.game ? mute(' · ' + title(each.game)) : ''), make('code', shown(each.event, 40)))))
    : make('p.mute', { key: 'none' }, log.length ? 'Nothing in the log has these words.' : 'Nothing has happened yet.')];
}
let metrics = 'Asking …';
async function askMetrics() {
  try {
    const reply = await fetch('metrics', { headers: bearer() });
    metrics = reply.ok ? await reply.text() : `The daemon answered ${reply.status}.`;
  } catch { metrics = 'The daemon does not answer.'; }
  drawSoon();
}
function metricsView() {
  return [make('div.row', { key: 'tools' }, button('Ask again', askMetrics), mute('For Prometheus, at /metrics')),
    make('pre', { tabindex: '0', 'aria-label': 'Metrics', key: 'text' }, metrics)];
}
function wallView() {
  const list = byName(seats()), across = Math.max(2, Math.ceil(Math.sqrt(list.length * .55)));
  return list.length ? tiles('wall', list, { '--across': across, '--down': Math.ceil(list.length / across) })
    : note('No seat yet', make('p', 'A seat appears when another machine of the party is found.'));
}

// ---- Detail: a seat, a game, or one on the other
const opened = { id: '', from: null };
const detailId = () => at.view !== 'overview' && (peers.has(at.seat) || games.has(at.game)) ? pair(at.seat, at.game) : '';
function drawDetail() {
  const panel = byId('detail'), peer = peers.get(at.seat), game = games.get(at.game), id = detailId();
  panel.hidden = !id;
  patch(panel, id ? [make('div.top', make('h2', { id: 'about', tabindex: '-1' }, peer ? nameOf(peer) : titleOf(game),
    make('small', peer && game ? titleOf(game) : shown(peer ? peer.addr : game.game))),
    make('a.button', { href: address(), 'aria-label': 'Close the details' }, 'Close')), peer && game ? cellDetail(peer, game) : peer ? seatDetail(peer) : gameDetail(game)] : '');
  if (opened.id === id) return;
  const { from } = opened;
  if (!opened.id) opened.from = document.activeElement;
  opened.id = id;
  if (id) return byId('about').focus({ preventScroll: true });
  // The table may have been made again meanwhile: then the cell of the same seat and game takes the focus.
  const back = from?.at ? nodeAt(...from.at) : from;
  (back?.isConnected && back !== document.body ? back : byId('main')).focus({ preventScroll: true });
}
const trouble = each => each.message ? make('div.trouble', { 'data-group': of(each).group }, make('b', told(each.message)), make('p', told(each.hint))) : '';
const warningsOf = (peer, game) => room.warnings.filter(each => each.peer === peer && (!game || !each.game || each.game === game)).map(trouble);
function cellDetail(peer, game) {
  const cell = cellAt(peer.peer, game.game), part = percent(cell);
  return [make('p', pill(cell), cell.version && cell.version !== game.version ? make('small', ` has ${shown(cell.version, 20)}, wanted ${shown(game.version, 20)}`) : ''),
    trouble(cell), warningsOf(peer.peer, game.game),
    isBusy(cell) ? [make('span.progress', { '--part': part + '%', role: 'progressbar', 'aria-valuenow': part, 'aria-label': words(cell) }),
      facts([['Done', `${bytes(cell.bytes)} of ${bytes(cell.bytes_total)}`], ['Rate', bothRates(cell.bytes_per_second)], ['Left', left(cell.seconds_left)],
        cell.source && ['From', linkTo(name(cell.source), cell.source)], cell.attempt > 1 && ['Attempt', cell.attempt]])] : '',
    cell.state === 'installed' && !cell.shareable ? make('details', { open: true }, make('summary', 'Why is it not shareable?'),
      make('p', `It was streamed from the archive of another machine, and the archive was not kept: that saved ${bytes(game.bytes)} on this seat.`,
        ' Only archives can be passed on. Download it to make this seat a source.')) : '',
    actions(game, [peer.peer]), make('p.row', linkTo('All of ' + nameOf(peer), peer.peer), linkTo(titleOf(game) + ' on every seat', '', game.game))];
}
function seatDetail(peer) {
  const flow = (speed, word, here, there) => {
    const ends = new Set(room.links.filter(link => link[here] === peer.peer).map(link => name(link[there])));
    return bothRates(speed) + (ends.size ? ` ${word} ${[...ends].join(', ')}` : '');
  };
  const isOwn = peer.peer === room.self, isOffered = game => isOwn && game.peers.length;
  const list = gamesInOrder().filter(game => game.wanted || isOffered(game) || cellAt(peer.peer, game.game).state !== 'absent');
  return [facts([peer.seat && ['Ready', `${gamesReady(peer)} games`],
    peer.state !== 'here' && ['No word', 'for ' + left((peer.silent_ms ?? 0) / 1000)], ['Free disk', bytes(peer.free_bytes)],
    ['Receives', flow(peer.receive_bytes_per_second, 'from', 'to', 'from')], ['Sends', flow(peer.send_bytes_per_second, 'to', 'from', 'to')],
    ['Program', shown(peer.version, 20) || '–'], ['Identity', make('code', shown(peer.peer, 64))],
    ['Commands', isOwn ? 'this machine' : (peer.accepts ? 'accepts' : 'does not accept') + ' installs from here']]), warningsOf(peer.peer),
  make('h3', 'Games'), lines(list, game => [linkTo(titleOf(game), peer.peer, game.game), pill(cellAt(peer.peer, game.game))])];
}
let everywhere = false;
function gameDetail(game) {
  const stateAt = peer => cellAt(peer.peer, game.game).state, commanded = peer => peer.accepts || peer.peer === room.self;
  const lacks = peer => peer.state === 'here' && commanded(peer) && /^(absent|failed|interrupted)$/.test(stateAt(peer));
  const without = seats().filter(lacks).map(peer => peer.peer);
  const byState = Map.groupBy(seats(), stateAt);
  return [facts([['Version', shown(game.version, 20) || '–'], ['Archive', bytes(game.bytes)], ['Installed', bytes(game.unpacked_bytes)],
    ['Offered by', game.peers.map(name).join(', ') || 'no peer now']]),
    room.commands === 'room' ? choice('Where', [[false, 'On ' + name(room.self)], [true, `On ${many(without.length, 'seat')} without it`]], everywhere, each => everywhere = each) : '',
    actions(game, everywhere && room.commands === 'room' ? without : [room.self]), room.commands === 'own' ? make('p.mute', told(room.commands_reason)) : '',
    make('h3', 'Seats'), lines([...byState], ([state, list]) => [badge(of({ state }), of({ state }).word),
      mute(list.length < 6 ? list.map(nameOf).join(', ') : many(list.length, 'seat'))])];
}

// ---- Actions: the daemon says what is possible, what it needs and why not
const act = { id: '', about: '', list: [], said: '', refused: [], confirm: '' };
const said = () => make('div', { role: 'status', key: 'said' }, make('p', act.said), refusals(act.refused));
const refusals = list => list?.length ? lines(list, each => [make('b', name(each.peer)), make('span', told(each.message), hintOf(each))]) : '';
async function askActions(game, who, id) {
  act.id = id;
  try {
    const answer = await ask('GET', 'actions?' + new URLSearchParams([['game', game.game], ...who.map(peer => ['peer', peer])]));
    if (act.id === id) act.list = answer.actions;
  } catch (error) { if (act.id === id && error.answered) act.said = `The daemon refused: ${error.message}.`; }
  drawSoon();
}
function actions(game, who) {
  if (room.commands === 'none') return make('p.mute', told(room.commands_reason));
  if (!who.length) return make('p.mute', 'Every seat that accepts installs from here has it.');
  // It is asked again when the answer may have changed, and the answer before stays until then.
  const about = [game.game, ...who].join(), id = [about, daemon.turn, room.commands, ...who.map(peer => {
    const { state, operation } = cellAt(peer, game.game), free = peers.get(peer).free_bytes;
    return [state, operation, free > game.bytes, free > game.unpacked_bytes];
  })].join();
  if (act.about !== about) Object.assign(act, { about, list: [] });
  if (act.id !== id && daemon.state === 'live') askActions(game, who, id);
  const possible = act.list.filter(each => !each.reason), not = act.list.filter(each => each.reason);
  const press = ({ kind, peers }, isFirst) => {
    if (kind === 'cancel') return cancel(cellAt(who[0], game.game));
    const run = () => start(kind, game, peers);
    return peers.length === 1 ? button(KINDS[kind], run, { class: isFirst ? 'main' : '' })
      : twicePressed(KINDS[kind], kind, `This starts on ${many(peers.length, 'seat')}.`, run);
  };
  return [make('h3', 'Do'), make('ul.actions', possible.map((each, index) => make('li', { key: each.kind }, press(each, !index && each.kind !== 'verify'),
    make('div', mute(shown(each.message)), each.refused?.length ? ['Not on ' + many(each.refused.length, 'seat') + ':', refusals(each.refused)] : '')))),
  not.length ? make('p.mute', 'Not now: ' + not.map(each => `${KINDS[each.kind]} (${shown(each.reason, 120)})`).join(', ') + '.') : '',
  said(), daemon.locked ? tokenForm() : ''];
}
// What drops data or starts on many seats is pressed twice, at one place. A double click and a held key count once.
function twicePressed(text, id, consequence, run, label) {
  const asked = act.confirm === id, choose = (confirm, then) => { act.confirm = confirm; then?.(); draw(); };
  const press = event => { if (event.detail < 2) choose(asked ? '' : id, asked ? run : null); };
  return make('span.twice', asked ? make('small', { key: 'why' }, consequence) : '',
    button(asked ? `Yes, ${text.toLowerCase()}` : text, press, { key: 'yes', class: asked ? 'danger' : '', 'aria-label': label && (asked ? `Yes, ${label}` : label) }),
    asked ? button('No', () => choose(''), { key: 'no' }) : '');
}
const cancel = each => twicePressed('Cancel', 'cancel ' + each.operation, each.kind === 'download' ? 'What has arrived is kept for the next time.' : 'What has arrived is dropped.',
  () => command('DELETE', 'operations/' + each.operation, undefined, () => 'Cancelled.'), `Cancel ${KINDS[each.kind] || ''} ${title(each.game)}`);
const start = (kind, game, who) => command('POST', 'operations', { kind, game: game.game, peers: who },
  ({ operations }) => who.length === 1 ? 'Accepted.' : `${operations.length} of ${who.length} seats accepted it.`);
async function command(method, path, body, done) {
  const say = (said, refused = []) => { Object.assign(act, { said, refused }); draw(); };
  if (daemon.state !== 'live') return say('The daemon does not answer: nothing was started.');
  say('Asking …');
  try {
    const answer = await ask(method, path, body);
    say(done(answer), answer.refused);
  } catch (error) {
    if (error.refused?.length > 1) say(`None of ${error.refused.length} seats accepted it.`, error.refused);
    else say(error.answered ? `Refused: ${error.message}. ${shown(error.hint)}` : 'No answer. The room shows whether it was done.');
  }
}

// ---- Start
function go() {
  readAddress();
  Object.assign(act, { said: '', refused: [], confirm: '' });
  if (at.view === 'metrics') askMetrics();
  draw();
}
addEventListener('hashchange', go);
addEventListener('keydown', event => {
  if (event.repeat && event.key === 'Enter' && event.target.localName === 'button') event.preventDefault();
  if (event.key === 'Escape' && !(event.target.localName === 'input' && event.target.value)) location.hash = address();
});
addEventListener('focusin', ({ target }) => {
  if (!target.at) return;
  moveTo(...target.at);
  read(target.at);
});
addEventListener('resize', drawSoon);
byId('skip').addEventListener('click', event => { event.preventDefault(); byId('main').focus(); });
go();
connect();
