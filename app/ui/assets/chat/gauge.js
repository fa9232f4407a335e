// How much of its budget a thought has used; the mark at 80 % says that the end is near.
import { make } from '../common/dom.js';
import { words } from '../words/chat.js';

const NEAR = 0.8;

export class Gauge {
  constructor() {
    this.fill = make('span', { class: 'fill' });
    this.node = make('div', { class: 'gauge', role: 'meter', 'aria-label': words.gauge.label, 'aria-valuemin': 0 }, this.fill);
    this.node.hidden = true;
  }

  // `budget` in tokens; null hides it.
  show(used, budget) {
    this.node.hidden = !budget;
    if (!budget) return;
    const share = Math.min(1, used / budget);
    this.node.setAttribute('aria-valuemax', budget);
    this.node.setAttribute('aria-valuenow', Math.min(used, budget));
    this.node.setAttribute('aria-valuetext', words.gauge.value(used, budget));
    this.node.title = words.gauge.value(used, budget);
    this.node.classList.toggle('near', share >= NEAR);
    this.fill.style.transform = `scaleX(${share})`;
  }
}
