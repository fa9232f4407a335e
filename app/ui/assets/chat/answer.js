// The answer of one reply: paragraphs that are complete come as safe markup, the one being written as plain text.
import { make, markup, reachWide } from '../common/dom.js';
import { words } from '../words/chat.js';

export class Answer {
  constructor() {
    this.done = make('div', { class: 'done' });
    this.tail = document.createTextNode('');
    this.node = make('section', { class: 'answer', 'aria-label': words.answer.label },
      this.done, make('p', { class: 'tail' }, this.tail));
    this.node.hidden = true;
    this.html = '';
  }

  // The answer as a whole.
  update(html, tail) {
    if (html !== this.html) {
      const goesOn = this.html && html.startsWith(this.html);
      const known = goesOn ? this.done.children.length : 0;
      if (goesOn) this.done.insertAdjacentHTML('beforeend', html.slice(this.html.length));
      else markup(this.done, html);
      this.html = html;
      reachWide(this.done, known);
    }
    this.tail.data = tail;
    this.node.hidden = !html && !tail;
  }

  settle() { reachWide(this.done); }

  // What was added: with new paragraphs `tail` is the whole new one, else it goes on.
  append(html, tail) {
    if (html) this.update(this.html + html, tail);
    else if (tail) this.tail.appendData(tail);
    this.node.hidden = !this.html && !this.tail.data;
  }
}
