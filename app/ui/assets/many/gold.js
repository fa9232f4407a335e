// The answer that the person knows to be right: given with the question or later, and what came of it.
import { patch } from '../common/api.js';
import { button, make } from '../common/dom.js';
import { words } from '../words/many.js';

export class Gold {
  constructor(groupId) {
    this.groupId = groupId;
    this.input = make('input', { placeholder: words.gold.placeholder, maxlength: 500, autocomplete: 'off' });
    this.clear = button(words.gold.clear, () => this.set(''), { class: 'quiet' });
    this.said = make('span', { class: 'counted', role: 'status' });
    this.error = make('span', { class: 'alarm', role: 'alert' });
    this.node = make('form', { class: 'gold', onsubmit: (event) => { event.preventDefault(); this.set(this.input.value); } },
      make('label', {}, make('span', {}, words.gold.label), this.input),
      make('button', { type: 'submit', class: 'quiet' }, words.gold.set), this.clear, this.said, this.error);
  }

  async set(gold) {
    this.error.textContent = '';
    try {
      const { group } = await patch(`/page/groups/${this.groupId}`, { gold });
      this.update(group);
      this.onSet?.(group);
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  update({ gold, report: { marks = {} } }) {
    if (gold !== this.gold && document.activeElement !== this.input) this.input.value = gold;
    this.gold = gold;
    this.clear.hidden = !gold;
    const counts = { right: 0, wrong: 0, none: 0 };
    for (const mark of Object.values(marks)) counts[mark] += 1;
    const said = gold && Object.keys(marks).length ? words.gold.counted(counts.right, counts.wrong, counts.none) : '';
    if (said !== this.said.textContent) this.said.textContent = said;
  }
}
