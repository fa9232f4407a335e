// The answer of one reply: paragraphs that are complete come as safe markup, the one being written as plain text.
import { make, markup, reachWide } from '../common/dom.js';
import { words } from '../words/chat.js';

// A program is one paragraph for as long as it is written. In blocks of about that many characters a new word lays out
// the last one of them and not all of it.
const LONGEST = 6000;

export class Answer {
  constructor() {
    this.done = make('div', { class: 'done' });
    this.tail = make('div', { class: 'tail' });
    this.last = null; // the text of its last block
    this.node = make('section', { class: 'answer', 'aria-label': words.answer.label }, this.done, this.tail);
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
    this.tail.replaceChildren();
    if (tail) this.open(tail);
    this.node.hidden = !html && !tail;
  }

  settle() { reachWide(this.done); }

  // What was added: with new paragraphs `tail` is the whole new one, else it goes on.
  append(html, tail) {
    if (html) this.update(this.html + html, tail);
    else if (tail) this.grow(tail);
  }

  open(text) {
    this.last = document.createTextNode(text);
    this.tail.append(make('p', {}, this.last));
  }

  grow(tail) {
    this.node.hidden = false;
    if (!this.tail.firstChild) {
      this.open(tail);
      return;
    }
    const end = this.last.length > LONGEST ? tail.indexOf('\n') : -1;
    this.last.appendData(end < 0 ? tail : tail.slice(0, end));
    if (end >= 0) this.open(tail.slice(end + 1));
  }
}
