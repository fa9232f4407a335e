// A growing plain text as one block per line, so that a new word lays out one line and not the whole text.
// Lines are kept in chunks: what is out of sight is not laid out at all (style.css).
import { CodePoints } from '../common/codepoints.js';
import { make } from '../common/dom.js';

const LINES_PER_CHUNK = 40;
// Only what is written without any line break ever meets this; laying out one huge line would be slow.
const LONGEST = 6000;

export class Lines {
  constructor(box) {
    this.box = box;
    this.clear();
  }

  clear() {
    this.length = this.points = 0; // in UTF-16 units, and in characters as the server counts them
    this.chunk = this.line = this.drawn = null;
    this.box.replaceChildren();
  }

  append(text) {
    this.length += text.length;
    this.points += new CodePoints(text).length;
    this.drawn = this.chunk;
    text.split('\n').forEach((piece, index) => {
      if (index || !this.line) this.open();
      if (piece) this.write(piece);
    });
  }

  // The whole text, of which the beginning may be here already: texts of one reply only grow.
  set(text) {
    if (text.length < this.length) this.clear();
    if (text.length > this.length) this.append(text.slice(this.length));
  }

  open() {
    if (!this.chunk || this.chunk.childElementCount >= LINES_PER_CHUNK) {
      // What came at once has not been drawn, and to ask each chunk for its height would lay it all out each time.
      if (this.chunk === this.drawn) this.settle();
      this.chunk = this.box.appendChild(make('div', { class: 'chunk' }));
    }
    this.line = this.chunk.appendChild(make('p')).appendChild(document.createTextNode(''));
  }

  // How high a chunk stays that is not laid out any more, so that the box does not jump.
  settle() {
    const height = this.chunk?.offsetHeight;
    if (height) this.chunk.style.containIntrinsicSize = `auto ${height}px`;
  }

  write(piece) {
    if (this.line.length > LONGEST) this.open();
    this.line.appendData(piece);
  }
}
