// One conversation in the list: a link to it, and a menu of what can be done with it.
import { patch, remove } from '../common/api.js';
import { emit } from '../common/bus.js';
import { button, isComposing, make } from '../common/dom.js';
import { words } from '../words/list.js';
import { openMenu } from './menu.js';
import { exportItems } from './transfer.js';

export class Row {
  constructor(conversation, list) {
    this.id = conversation.id;
    this.list = list;
    this.title = make('span', { class: 'title' });
    this.marks = make('span', { class: 'marks' });
    this.link = make('a', { href: `?c=${encodeURIComponent(this.id)}`, onclick: (event) => this.open(event), onkeydown: (event) => this.onKey(event) },
      this.marks, this.title);
    this.moreButton = button('⋯', () => this.openMenu(), { class: 'quiet more', 'aria-expanded': false });
    this.node = make('li', { class: 'row', onfocusin: () => this.list.stopAt(this) }, this.link, this.moreButton);
    this.stop(false);
  }

  // Whether Tab stops here: at one row of the list, and arrows go on from there.
  stop(isHere) {
    for (const control of [this.link, this.moreButton]) control.tabIndex = isHere ? 0 : -1;
  }

  get name() { return this.conversation.title || words.untitled; }

  get path() { return `/page/conversations/${encodeURIComponent(this.id)}`; }

  update(conversation, isShown) {
    const before = this.conversation;
    this.conversation = conversation;
    if (before?.title !== conversation.title || !before) {
      this.title.textContent = this.name;
      this.link.title = this.name;
      this.moreButton.setAttribute('aria-label', words.row.more(this.name));
    }
    if (before?.live !== conversation.live || before?.collects !== conversation.collects) this.showMarks();
    this.mark(isShown);
  }

  showMarks() {
    const { live, collects } = this.conversation;
    this.marks.replaceChildren(
      ...live ? [make('span', { class: 'dot' }, make('span', { class: 'unseen' }, `${words.live}: `))] : [],
      ...collects ? [make('span', { class: 'collects', title: words.collects }, '◆', make('span', { class: 'unseen' }, `${words.collects}: `))] : []);
  }

  mark(isShown) {
    if (isShown) this.link.setAttribute('aria-current', 'page');
    else this.link.removeAttribute('aria-current');
  }

  // With Ctrl, Shift or the middle button it is the browser's: another tab.
  open(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    emit('open-conversation', { id: this.id });
  }

  onKey(event) {
    const act = {
      F2: () => this.rename(), Delete: () => this.remove(),
      ArrowDown: () => this.list.step(this, 1), ArrowUp: () => this.list.step(this, -1),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }

  openMenu() {
    const { row } = words;
    const { pinned, collects } = this.conversation;
    openMenu(this.moreButton, row.more(this.name), (close) => {
      const item = (text, act, attributes) => button(text, () => { close(); act(); }, attributes);
      const collect = make('input', { type: 'checkbox', onchange: () => this.change({ collects: collect.checked }) });
      collect.checked = collects;
      return [
        item(row.rename, () => this.rename()),
        item(pinned ? row.unpin : row.pin, () => this.change({ pinned: !pinned })),
        make('label', { title: row.collectWhy }, collect, row.collect),
        ...exportItems(`${this.path}/export`, close),
        item(row.remove, () => this.remove(), { class: 'danger' }),
      ];
    });
  }

  async change(changes) {
    try {
      await patch(this.path, changes);
    } catch (error) {
      this.list.toast.fail(error.message);
    }
    await this.list.refresh();
    emit('conversation-changed', { id: this.id });
  }

  // The title becomes a field: Enter keeps it, Esc does not.
  rename() {
    if (this.field) return;
    this.field = make('input', { 'aria-label': words.row.title, maxlength: 80, value: this.conversation.title, onkeydown: (event) => this.onRenameKey(event),
      onblur: () => this.renamed(true) });
    this.link.hidden = true;
    this.node.prepend(this.field);
    this.field.focus();
    this.field.select();
  }

  onRenameKey(event) {
    if (isComposing(event) || !['Enter', 'Escape'].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    this.renamed(event.key === 'Enter');
    this.link.focus();
  }

  renamed(isKept) {
    const { field } = this;
    if (!field) return;
    this.field = null;
    const title = field.value.trim();
    this.link.hidden = false;
    field.remove();
    if (isKept && title && title !== this.conversation.title) this.change({ title });
    else this.list.show();
  }

  async remove() {
    if (this.isLeaving) return;
    this.isLeaving = true;
    const wasShown = this.link.hasAttribute('aria-current');
    const hadFocus = this.node.contains(document.activeElement) || document.activeElement === document.body;
    if (wasShown) emit('open-conversation', { id: null });
    try {
      await remove(this.path);
    } catch (error) {
      this.isLeaving = false;
      this.list.toast.fail(error.message);
      return;
    }
    const neighbour = this.list.neighbour(this);
    await this.list.refresh();
    this.isLeaving = false; // it may come back
    this.list.offerBack(this, wasShown, hadFocus ? neighbour : null);
  }
}
