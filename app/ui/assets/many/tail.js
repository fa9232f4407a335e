// The end of a growing thought as plain text: a few lines in one text node, however long the thought is.
import { make } from '../common/dom.js';
import { words } from '../words/many.js';

const CHARS = 1500;

// What is new of all tails is drawn at once, in the next frame.
const changed = new Set();
let frame = 0;
const draw = () => {
  frame = 0;
  for (const tail of changed) tail.draw();
  changed.clear();
};

export class Tail {
  constructor(text) {
    this.text = document.createTextNode('');
    this.node = make('div', { class: 'tail-end', 'aria-label': words.card.live, role: 'group' }, make('p', {}, this.text));
    this.kept = '';
    this.append(text);
  }

  append(text) {
    this.kept = (this.kept + text).slice(-CHARS);
    changed.add(this);
    frame ||= requestAnimationFrame(draw);
  }

  // Begins with a whole line where there is one.
  draw() {
    const cut = this.kept.length < CHARS ? 0 : this.kept.indexOf('\n') + 1;
    this.text.data = this.kept.slice(cut);
  }
}
