// The distil set: how many turns stand where, the list of them, and beside it the one that is reviewed.
import '../common/rooms.js';
import { get } from '../common/api.js';
import { emit, on } from '../common/bus.js';
import { button, make, openDialog } from '../common/dom.js';
import { beginRun } from '../runs/opening.js';
import { words } from '../words/stars.js';
import { takeWanted } from './opening.js';
import { Review } from './review.js';

const PAGE = 50;

class StarsRoom {
  #state = '';
  #shown = 0;
  #turn = null;
  #counts = { accepted: 0, waiting: 0, refused: 0 };

  constructor(root) {
    this.root = root;
    this.filters = new Map(Object.keys(words.filters).map((state) => [state, button('', () => this.#filter(state), { class: 'filter' })]));
    this.list = make('ul', { class: 'stars' });
    this.note = make('p', { class: 'soft', role: 'status', tabindex: '-1' });
    this.more = button(words.more, () => this.#load(this.#shown), { hidden: true });
    this.run = button(words.startRun, () => beginRun('stars'), { class: 'primary' });
    this.review = new Review({ onChanged: () => emit('stars-changed'), onClose: () => this.#open(null), onOpen: (id) => this.#open(id) });
    root.append(
      make('header', {}, make('div', {}, make('h2', {}, words.title), make('p', { class: 'soft' }, words.intro)),
        make('div', { class: 'buttons' }, button(words.export, () => this.#export(), { id: 'export-stars', 'aria-haspopup': 'dialog' }), this.run)),
      make('div', { class: 'filters', role: 'group', 'aria-label': words.filterLabel }, ...this.filters.values()),
      make('div', { class: 'columns' }, make('div', { class: 'list' }, this.note, this.list, this.more), this.review.node),
    );
  }

  begin() {
    on('stars-changed', () => this.#again());
    on('open-star', () => this.#openWanted());
    this.#again();
    this.#openWanted();
  }

  #openWanted() {
    const id = takeWanted();
    if (id) this.#open(id);
  }

  #filter(state) {
    this.#state = state;
    this.#again();
  }

  // Looks anew at as many as are shown.
  async #again() {
    await this.#load(0, Math.min(200, Math.max(PAGE, this.#shown)));
  }

  // The newest question decides: an answer that comes late is not looked at.
  async #load(start, n = PAGE) {
    const turn = this.#turn = Symbol(start);
    try {
      const state = this.#state ? `&state=${this.#state}` : '';
      const told = await get(`/page/stars?start=${start}&n=${n}${state}`);
      if (this.#turn !== turn) return;
      const held = this.list.contains(document.activeElement) ? document.activeElement.dataset.star : null;
      if (start === 0) this.list.replaceChildren();
      const rows = told.stars.map((star) => this.#row(star));
      this.list.append(...rows);
      if (held && start === 0) (this.#rowOf(held) ?? this.note).focus({ preventScroll: true });
      this.#shown = start + told.stars.length;
      if (this.#shown >= told.total && document.activeElement === this.more) rows[0]?.querySelector('button').focus();
      this.more.hidden = this.#shown >= told.total;
      this.#count(told.counts);
      const none = this.#state ? words.emptyState : words.empty;
      this.note.textContent = told.total ? '' : none;
      this.note.className = 'soft';
    } catch (error) {
      if (this.#turn !== turn) return;
      this.note.textContent = error.message;
      this.note.className = 'alarm';
    }
    this.#mark();
  }

  #count(counts) {
    this.#counts = counts;
    const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
    for (const [state, filter] of this.filters) {
      filter.textContent = words.counted(words.filters[state], state ? counts[state] : all);
      filter.setAttribute('aria-pressed', state === this.#state);
    }
    this.run.disabled = !counts.accepted;
  }

  #row(star) {
    const against = star.gates.map(words.sentence)[0];
    const open = make('button', { type: 'button', class: 'row', 'data-star': star.id, onclick: () => this.#open(star.id, true) },
      make('span', { class: 'badge', 'data-state': star.state }, words.states[star.state]),
      make('span', { class: 'question' }, star.question),
      make('span', { class: 'soft small' }, [words.by(star.model), words.thoughtTokens(star.thought_tokens), star.by ? words.checkedBy[star.by] : null, star.edited.length ? words.edited : null].filter(Boolean).join(' · ')),
      against ? make('span', { class: 'against' }, against) : null);
    return make('li', {}, open);
  }

  async #open(id, focus = false) {
    this.root.toggleAttribute('data-reviews', Boolean(id));
    const before = this.review.id;
    const shown = this.review.show(id);
    // At once: who has gone on meanwhile keeps the focus.
    if (id && focus) this.review.focus();
    else if (!id && before) this.#rowOf(before)?.focus();
    await shown;
    this.#mark();
  }

  #rowOf(star) { return this.list.querySelector(`[data-star="${CSS.escape(star)}"]`); }

  #mark() {
    for (const row of this.list.querySelectorAll('.row')) {
      if (row.dataset.star === this.review.id) row.setAttribute('aria-current', 'true');
      else row.removeAttribute('aria-current');
    }
  }

  #export() {
    const n = this.#counts.accepted;
    const link = (format, text, why) => make('li', {},
      make('a', { href: `/page/stars/export?format=${format}`, download: '' }, text), make('p', { class: 'soft small' }, why));
    const content = n
      ? [make('p', {}, words.exportCount(n)),
        make('ul', { class: 'formats' }, link('traces', words.exportTraces, words.exportTracesWhy), link('sharegpt', words.exportShareGpt, words.exportShareGptWhy))]
      : [make('p', {}, words.exportNone)];
    const dialog = openDialog(words.exportTitle, ...content, make('div', { class: 'buttons' }, button(words.cancel, () => dialog.close())));
  }
}

export const start = (root) => new StarsRoom(root).begin();
