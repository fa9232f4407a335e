// All conversations beside the chat: what there is, by day, and what can be done with each.
import { ApiError, get, post } from '../common/api.js';
import { bindKeys } from '../chat/keyboard.js';
import { emit, on } from '../common/bus.js';
import { button, make, overlay } from '../common/dom.js';
import { words } from '../words/list.js';
import { current } from '../chat/current.js';
import { Deleted } from './deleted.js';
import { groupsOf } from './groups.js';
import { Importer, openExport } from './transfer.js';
import { Row } from './row.js';
import { Search } from './search.js';
import { Toast } from './toast.js';

const PAGE = 100;
const MOST = 1000;
const SETTLE_MS = 150;
// While a reply is being written, its end has to be noticed, whichever tab asked for it.
const LOOK_MS = 3000;

class ConversationList {
  constructor(nav) {
    this.nav = nav;
    this.rows = new Map();
    this.conversations = [];
    this.hasMore = false;
    this.toast = new Toast();
    this.search = new Search((isSearching) => { this.body.hidden = this.deleted.node.hidden = isSearching; });
    this.deleted = new Deleted((id) => this.bringBack([{ id }]));
    this.importer = new Importer(nav, this.toast, () => this.refresh());
    this.build();
    this.bind();
  }

  build() {
    this.body = make('div', { class: 'days' });
    this.end = make('div', { class: 'end' });
    this.note = make('p', { class: 'soft note' });
    this.all = button(words.transfer.exportAll, () => openExport(this.all, '/page/export'), { class: 'quiet', 'aria-expanded': false });
    this.scroll = make('div', { class: 'scroll' }, this.search.found, this.body, this.note, this.end, this.deleted.node);
    this.nav.append(make('div', { class: 'inner' },
      make('div', { class: 'head' },
        button(words.newChat, () => emit('open-conversation', { id: null }), { class: 'fresh' }),
        button('×', () => this.slide(false), { class: 'quiet close', 'aria-label': words.close })),
      this.search.node, this.scroll,
      make('div', { class: 'feet' }, this.importer.node, this.all)));
    overlay().append(this.toast.node);
  }

  bind() {
    on('conversation-changed', () => this.refreshSoon());
    on('conversation-shown', ({ id }) => this.mark(id));
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.refreshSoon(); });
    this.sight = new IntersectionObserver((seen) => { if (seen.at(-1).isIntersecting) this.more(); }, { root: this.scroll, rootMargin: '400px' });
    bindKeys({
      'Ctrl+K': () => this.toSearch(),
      'Ctrl+E': () => this.exportShown(),
    }, () => this.nav.parentElement.offsetParent !== null);
    this.bindSlide();
  }

  // On a narrow window the chat's toolbar slides the list over; what lies beside it closes it.
  bindSlide() {
    const opener = () => document.querySelector('#show-list');
    let wasOver = false;
    const look = () => {
      const isOver = this.nav.classList.contains('over');
      const hasFocus = this.nav.contains(document.activeElement);
      // What another tab did meanwhile is in the list that slides over.
      if (isOver && !wasOver) this.refreshSoon();
      if (isOver && !wasOver && !hasFocus) this.nav.querySelector('.fresh').focus();
      else if (!isOver && wasOver && hasFocus) opener()?.focus();
      wasOver = isOver;
    };
    new MutationObserver(look).observe(this.nav, { attributeFilter: ['class'] });
    look(); // it may have been slid over before this came
    document.addEventListener('pointerdown', ({ target }) => {
      if (wasOver && !this.nav.contains(target) && !opener()?.contains(target)) this.slide(false);
    });
  }

  slide(isOver) {
    if (this.nav.classList.contains('over') !== isOver) document.querySelector('#show-list')?.click();
  }

  toSearch() {
    if (!this.nav.offsetParent) this.slide(true);
    this.search.focus();
  }

  exportShown() {
    const { conversation } = current();
    if (!conversation) return false;
    openExport(document.activeElement, `/page/conversations/${conversation.id}/export`);
    return true;
  }

  refreshSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.refresh(), SETTLE_MS);
  }

  async refresh() {
    const limit = Math.min(MOST, Math.max(PAGE, this.conversations.length));
    await this.load(`/page/conversations?limit=${limit}`, (found) => {
      this.conversations = found;
      this.hasMore = found.filter(({ pinned }) => !pinned).length >= limit;
    });
  }

  async more() {
    const last = this.conversations.at(-1);
    if (!this.hasMore || this.isLoading || !last) return;
    await this.load(`/page/conversations?limit=${PAGE}&before=${last.updated}`, (found) => {
      this.conversations = [...this.conversations, ...found];
      this.hasMore = found.length >= PAGE;
    });
  }

  // The newest question decides: an answer that comes late is not looked at.
  async load(path, take) {
    const turn = this.isLoading = Symbol(path);
    try {
      const { conversations } = await get(path);
      if (this.isLoading !== turn) return;
      take(conversations);
      this.show();
      // An end that stays in sight is not told of again by itself.
      this.sight.unobserve(this.end);
      this.sight.observe(this.end);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.note.textContent = error.message;
    } finally {
      if (this.isLoading === turn) this.isLoading = null;
    }
    clearTimeout(this.looking);
    if (this.conversations.some(({ live }) => live) && !document.hidden) this.looking = setTimeout(() => this.refresh(), LOOK_MS);
  }

  show() {
    const seen = new Set(this.conversations.map(({ id }) => id));
    for (const id of this.rows.keys()) if (!seen.has(id)) this.rows.delete(id);
    this.note.textContent = this.conversations.length ? '' : words.empty;
    const sections = groupsOf(this.conversations, new Date()).map(([name, members]) => [name, members.map((each) => this.rowOf(each))]);
    this.place(sections);
    const shown = this.rows.get(current().conversation?.id);
    // Whoever goes through the list keeps their place; from elsewhere Tab comes to what is shown.
    if (shown && !this.body.contains(document.activeElement)) this.stopAt(shown);
    else if (!seen.has(this.stop?.id)) this.stopAt(shown ?? sections[0]?.[1][0]);
  }

  rowOf(conversation) {
    if (!this.rows.has(conversation.id)) this.rows.set(conversation.id, new Row(conversation, this));
    const row = this.rows.get(conversation.id);
    row.update(conversation, conversation.id === current().conversation?.id);
    return row;
  }

  // Nothing is moved that stands where it should: moving takes the focus away, and menus with it.
  place(sections) {
    const order = JSON.stringify(sections.map(([name, rows]) => [name, rows.map(({ id }) => id)]));
    // A title that is being typed would be taken as it stands: moved, its field loses the focus.
    if (order === this.order || [...this.rows.values()].some(({ field }) => field)) return;
    this.order = order;
    const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
    this.body.replaceChildren(...sections.map(([name, rows]) => {
      const heading = make('h2', { id: `list-${name}` }, words.groups[name]);
      return make('section', { 'aria-labelledby': heading.id }, heading, make('ul', {}, ...rows.map(({ node }) => node)));
    }));
    focused?.focus({ preventScroll: true });
  }

  // What is deleted while the way back of another is still offered comes back with it.
  offerBack(row, wasShown, heir) {
    if (!this.toast.isOffering) this.offered = [];
    this.offered.push({ id: row.id, wasShown });
    const { offered: deleted } = this;
    const text = deleted.length > 1 ? words.deletedMany(deleted.length) : words.deleted(row.name);
    this.toast.offer(text, words.undo, () => this.bringBack(deleted), heir);
    this.deleted.look();
  }

  async bringBack(deleted) {
    try {
      for (const { id } of deleted) await post(`/page/conversations/${encodeURIComponent(id)}/restore`);
    } finally {
      await this.refresh();
      await this.deleted.look();
    }
    const shown = deleted.find(({ wasShown }) => wasShown);
    if (shown) emit('open-conversation', { id: shown.id });
    else this.rows.get(deleted.at(-1).id)?.link.focus();
  }

  mark(id) {
    for (const row of this.rows.values()) row.mark(row.id === id);
    if (this.rows.has(id)) this.stopAt(this.rows.get(id));
  }

  stopAt(row) {
    this.stop?.stop(false);
    this.stop = row;
    row?.stop(true);
  }

  step(row, by) {
    this.beside(row, by)?.focus();
  }

  // Where the focus goes when `row` leaves.
  neighbour(row) {
    return this.beside(row, 1) ?? this.beside(row, -1) ?? this.nav.querySelector('.fresh');
  }

  beside(row, by) {
    const links = [...this.body.querySelectorAll('.row > a')];
    return links[links.indexOf(row.link) + by];
  }
}

export const startList = (nav) => {
  const list = new ConversationList(nav);
  list.refresh();
  return list;
};
