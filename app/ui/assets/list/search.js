// Search in all conversations: in titles, questions and answers or, apart from them, in thoughts.
import { get } from '../common/api.js';
import { emit } from '../common/bus.js';
import { make } from '../common/dom.js';
import { words } from '../words/list.js';

const SETTLE_MS = 150;
const MOST = 50;

export class Search {
  // `onState(isSearching)`: the days make room for what is found.
  constructor(onState) {
    this.onState = onState;
    const { search } = words;
    this.box = make('input', { type: 'search', 'aria-label': search.label, placeholder: search.placeholder, oninput: () => this.soon(), onkeydown: (event) => this.onKey(event) });
    this.where = make('fieldset', { class: 'where' }, make('legend', { class: 'unseen' }, search.where),
      this.choice('answers', true), this.choice('thoughts', false));
    this.count = make('p', { class: 'soft', role: 'status' });
    this.hits = make('ul', {});
    this.found = make('div', { class: 'found' }, this.count, this.hits);
    this.found.hidden = this.where.hidden = true;
    this.node = make('search', {}, this.box, this.where);
  }

  choice(value, isChosen) {
    const radio = make('input', { type: 'radio', name: 'search-where', value, onchange: () => this.run() });
    radio.checked = isChosen;
    return make('label', {}, radio, make('span', {}, words.search[value]));
  }

  get place() { return this.where.querySelector(':checked').value; }

  focus() {
    this.box.focus();
    this.box.select();
  }

  onKey(event) {
    if (event.key === 'ArrowDown') this.hits.querySelector('a')?.focus();
    else if (event.key === 'Escape' && this.box.value) this.clear();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  clear() {
    this.box.value = '';
    this.run();
  }

  soon() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.run(), SETTLE_MS);
  }

  async run() {
    const text = this.box.value.trim();
    const turn = this.turn = Symbol(text);
    this.found.hidden = this.where.hidden = !text;
    this.onState(Boolean(text));
    if (!text) return;
    const { place } = this;
    try {
      const { hits } = await get(`/page/search?${new URLSearchParams({ q: text, where: place, limit: MOST })}`);
      if (this.turn === turn) this.show(hits, place);
    } catch (error) {
      if (this.turn === turn) this.count.textContent = error.message;
    }
  }

  // A title is mostly a question's first line, and then found with it.
  show(hits, place) {
    const asked = new Set(hits.filter(({ role }) => role === 'user').map(({ conversation }) => conversation));
    const told = hits.filter(({ message, conversation }) => message || !asked.has(conversation));
    this.count.textContent = words.search.found(hits.length < MOST ? told.length : MOST, MOST);
    this.hits.replaceChildren(...told.map((hit) => this.hit(hit, place)));
  }

  hit(hit, place) {
    const { search } = words;
    const kind = place === 'thoughts' ? search.thought : search.roles[hit.role ?? 'title'];
    const snippet = hit.snippet.map(([text, isHit]) => (isHit ? make('mark', {}, text) : text));
    const link = make('a', { href: `?c=${encodeURIComponent(hit.conversation)}`, onclick: (event) => this.open(event, hit), onkeydown: (event) => this.onHitKey(event) },
      make('span', { class: 'title' }, hit.title || words.untitled),
      make('span', { class: 'snippet' }, make('span', { class: 'kind' }, kind), ' ', ...snippet));
    return make('li', {}, link);
  }

  onHitKey(event) {
    const links = [...this.hits.querySelectorAll('a')];
    const at = links.indexOf(event.target);
    if (event.key === 'ArrowDown') links[at + 1]?.focus();
    else if (event.key === 'ArrowUp') (links[at - 1] ?? this.box).focus();
    else if (event.key === 'Escape') this.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  open(event, { conversation, message }) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    emit('open-conversation', { id: conversation, message });
  }
}
