// The runs: a list of them, and beside it the one that is looked at. Looks again every two seconds, for as long as
// somebody can see it.
import '../common/rooms.js';
import { get } from '../common/api.js';
import { on } from '../common/bus.js';
import { button, make, place } from '../common/dom.js';
import { words } from '../words/runs.js';
import { offerRun } from './begin.js';
import { takeWanted } from './opening.js';
import { RunView } from './run.js';

const EVERY_MS = 2000;

class RunsRoom {
  #told = null;
  #rows = new Map();
  #looking = null; // the look that is under way

  constructor(root) {
    this.root = root;
    this.list = make('ul', { class: 'runs' });
    this.note = make('p', { class: 'soft', role: 'status' });
    this.begin = button(words.begin, () => this.#offer('generated'), { class: 'primary', disabled: true, 'aria-haspopup': 'dialog' });
    this.view = new RunView({ onChanged: () => this.look(), onClose: () => this.#open(null) });
    root.append(
      make('header', {}, make('div', {}, make('h2', {}, words.title), make('p', { class: 'soft' }, words.intro)), make('div', { class: 'buttons' }, this.begin)),
      make('div', { class: 'columns' }, make('div', { class: 'list' }, this.note, this.list), this.view.node),
    );
  }

  async start() {
    on('begin-run', () => this.#offerWanted());
    document.addEventListener('visibilitychange', () => this.#lookIfSeen());
    setInterval(() => this.#lookIfSeen(), EVERY_MS);
    await this.look();
    const newest = this.#told?.runs.find(({ state }) => state === 'running') ?? this.#told?.runs[0];
    if (newest && this.root.clientWidth > 896) this.#open(newest.id);
    this.#offerWanted();
  }

  // A look that was begun before knows nothing of what has just been done.
  async look() {
    while (this.#looking) await this.#looking;
    this.#looking = this.#lookOnce();
    await this.#looking;
    this.#looking = null;
  }

  async #lookOnce() {
    try {
      this.#told = await get('/page/runs');
      this.#draw(this.#told.runs);
      this.note.textContent = this.#told.runs.length ? '' : words.none;
      this.note.className = 'soft';
      this.begin.disabled = false;
      if (this.view.id) await this.view.show(this.view.id);
    } catch (error) {
      this.note.textContent = error.message;
      this.note.className = 'alarm';
    }
  }

  #lookIfSeen() {
    if (!this.#looking && !document.hidden && this.root.offsetParent) this.look();
  }

  #draw(runs) {
    for (const run of runs) {
      if (!this.#rows.has(run.id)) this.#rows.set(run.id, new Row(run, () => this.#open(run.id, true)));
      this.#rows.get(run.id).show(run);
      this.#rows.get(run.id).mark(run.id === this.view.id);
    }
    place(this.list, runs.map(({ id }) => this.#rows.get(id).node));
  }

  async #open(id, focus = false) {
    const before = this.view.id;
    this.root.toggleAttribute('data-looks', Boolean(id));
    const shown = this.view.show(id);
    for (const [each, row] of this.#rows) row.mark(each === id);
    // At once: who has gone on meanwhile keeps the focus.
    if (id && focus) this.view.node.focus({ preventScroll: true });
    else if (!id) this.#rows.get(before)?.button.focus();
    await shown;
  }

  #offer(traces) {
    if (!this.#told) return;
    offerRun(this.#told, traces, async (run) => {
      await this.look();
      this.#open(run.id, true);
    });
  }

  async #offerWanted() {
    const traces = takeWanted();
    if (!traces) return;
    await this.look();
    this.#offer(traces);
  }
}

class Row {
  constructor(run, open) {
    this.badge = make('span', { class: 'badge' });
    this.bar = make('progress', { max: 1, value: 0, 'aria-label': words.runBar(run.name) });
    this.now = make('span', { class: 'soft small' });
    this.button = make('button', { type: 'button', class: 'row', 'data-run': run.id, onclick: open }, make('span', { class: 'name' }, run.name), this.badge, this.now);
    this.node = make('li', {}, this.button, this.bar);
  }

  show(run) {
    this.badge.dataset.state = run.state;
    this.badge.textContent = words.states[run.state];
    this.bar.value = run.share;
    this.bar.hidden = run.state === 'done';
    this.now.textContent = words.now(run) || [words.of(run), words.when(run.created)].filter(Boolean).join(' · ');
  }

  mark(current) {
    if (current) this.button.setAttribute('aria-current', 'true');
    else this.button.removeAttribute('aria-current');
  }
}

export const start = (root) => new RunsRoom(root).start();
