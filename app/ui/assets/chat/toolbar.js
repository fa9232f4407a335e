// Above the turns: which conversation this is, and the way to the others, to a new one and to the settings.
import { button, make, once } from '../common/dom.js';
import { words } from '../words/chat.js';

export class Toolbar {
  constructor({ onList, onNew, onSettings, onShortcuts }) {
    const { toolbar } = words;
    this.list = button('☰', onList, { class: 'quiet', id: 'show-list', 'aria-label': toolbar.list, title: toolbar.list, 'aria-expanded': false });
    this.title = make('p', { class: 'title' });
    this.model = make('span', { class: 'model soft' });
    this.fresh = button(toolbar.fresh, onNew, { class: 'quiet', id: 'new-chat' });
    this.node = make('div', { class: 'toolbar', role: 'group', 'aria-label': words.conversation },
      this.list, this.title, this.model, this.fresh,
      button(toolbar.settings, once(onSettings), { class: 'quiet', id: 'open-settings' }),
      button('?', once(onShortcuts), { class: 'quiet', id: 'open-shortcuts', 'aria-label': toolbar.shortcuts, title: toolbar.shortcuts }));
  }

  show(conversation, model) {
    // A chat that does not exist yet has no name.
    this.title.textContent = conversation ? conversation.title || words.toolbar.untitled : '';
    this.model.textContent = model;
  }
}
