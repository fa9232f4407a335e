// What was deleted and can be had back. It is asked for when somebody looks.
import { get } from '../common/api.js';
import { button, make, once } from '../common/dom.js';
import { words } from '../words/list.js';

export class Deleted {
  // `restore(id)` brings it back into the list.
  constructor(restore) {
    this.restore = restore;
    this.note = make('p', { class: 'soft note', role: 'status' });
    this.gone = make('ul', {});
    this.node = make('details', { class: 'deleted', ontoggle: () => this.look() }, make('summary', {}, words.gone.name), this.note, this.gone);
  }

  async look() {
    if (!this.node.open) return;
    try {
      const { conversations } = await get('/page/conversations?deleted=1');
      this.note.textContent = conversations.length ? words.gone.kept : words.gone.none;
      this.gone.replaceChildren(...conversations.map((conversation) => this.item(conversation)));
    } catch (error) {
      this.note.textContent = error.message;
    }
  }

  item({ id, title }) {
    const name = title || words.untitled;
    const back = once(async () => {
      try {
        await this.restore(id);
      } catch (error) {
        this.note.textContent = error.message;
      }
    });
    return make('li', {}, make('span', { class: 'title', title: name }, name),
      button(words.gone.restore, back, { class: 'quiet', 'aria-label': words.gone.restoreNamed(name) }));
  }
}
