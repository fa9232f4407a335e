// An empty chat: what it is for, and something to begin with.
import { emit } from '../common/bus.js';
import { button, make } from '../common/dom.js';
import { words } from '../words/chat.js';

export class Welcome {
  constructor(onExample) {
    const { welcome, examples } = words;
    this.note = make('p', { class: 'demo soft' }, `${welcome.demo} `,
      button(welcome.bigger, () => emit('show-room', { name: 'shelf' }), { class: 'link' }));
    this.note.hidden = true;
    this.node = make('section', { class: 'welcome', 'aria-label': welcome.label },
      make('p', { class: 'invitation' }, welcome.invitation),
      make('ul', { class: 'examples' }, ...examples.map((question) =>
        make('li', {}, button(question, () => onExample(question), { class: 'example' })))),
      this.note);
  }

  // The model that comes along is marked as what it is.
  demo(isDemo) { this.note.hidden = !isDemo; }
}
