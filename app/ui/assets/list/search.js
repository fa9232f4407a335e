// Search in all conversations: in titles, questions and answers or, apart from them, in thoughts.
import { get } from '../common/api.js';
import { emit } from '../common/bus.js';
import { button, make } from '../common/dom.js';
import { words } from '../words/list.js';

const SETTLE_MS = 150;
// So many hits at first, and when more are wanted.
const FEW = 50;
const MOST = 1000;

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
    this.more = button(search.more, () => this.showMore(), { class: 'quiet', hidden: true, onkeydown: (event) => this.onHitKey(event) });
    this.found = make('div', { class: 'found' }, this.count, this.hits, this.more);
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

  async run(limit = FEW) {
    const text = this.box.value.trim();
    const turn = this.turn = Symbol(text);
    this.found.hidden = this.where.hidden = !text;
    this.onState(Boolean(text));
    if (!text) return;
    const { place } = this;
    try {
      const { hits } = await get(`/page/search?${new URLSearchParams({ q: text, where: place, limit })}`);
      if (this.turn === turn) this.show(hits, place, limit);
    } catch (error) {
      if (this.turn === turn) this.count.textContent = error.message;
    }
  }

  // By conversation, so that a long one leaves the others in sight. A title is mostly a question's first line, and then
  // found with it.
  show(hits, place, limit) {
    const asked = new Set(hits.filter(({ role }) => role === 'user').map(({ conversation }) => conversation));
    const told = hits.filter(({ message, conversation }) => message || !asked.has(conversation));
    this.count.textContent = words.search.found(hits.length < limit ? told.length : limit, limit);
    const chats = new Map(told.map(({ conversation }) => [conversation, []]));
    for (const hit of told) chats.get(hit.conversation).push(hit);
    this.hits.replaceChildren(...[...chats.values()].map((members) => this.chat(members, place)));
    this.more.hidden = hits.length < limit || limit === MOST;
  }

  async showMore() {
    const n = this.hits.children.length;
    await this.run(MOST);
    // Whoever has typed on meanwhile stays there.
    if (document.activeElement !== this.box) (this.hits.children[n] ?? this.hits.lastChild)?.querySelector('a').focus();
  }

  chat([first, ...others], place) {
    const node = make('li', {}, this.hit(first, place));
    const more = button(words.search.moreHere(others.length), () => {
      const hits = others.map((hit) => this.hit(hit, place));
      more.replaceWith(...hits);
      hits[0].focus();
    }, { class: 'quiet', onkeydown: (event) => this.onHitKey(event) });
    if (others.length) node.append(more);
    return node;
  }

  hit(hit, place) {
    const { search } = words;
    const kind = place === 'thoughts' ? search.thought : search.roles[hit.role ?? 'title'];
    const snippet = hit.snippet.map(([text, isHit]) => (isHit ? make('mark', {}, text) : text));
    return make('a', { href: `?c=${encodeURIComponent(hit.conversation)}`, onclick: (event) => this.open(event, hit), onkeydown: (event) => this.onHitKey(event) },
      make('span', { class: 'title' }, hit.title || words.untitled),
      make('span', { class: 'snippet' }, make('span', { class: 'kind' }, kind), ' ', ...snippet));
  }

  onHitKey(event) {
    const stops = [...this.found.querySelectorAll(':is(a, button):not([hidden])')];
    const at = stops.indexOf(event.target);
    if (event.key === 'ArrowDown') stops[at + 1]?.focus();
    else if (event.key === 'ArrowUp') (stops[at - 1] ?? this.box).focus();
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
