// Replies that were asked together: a vote of several thoughts, or one prompt to two models, side by side.
import { patch, post } from '../common/api.js';
import { on } from '../common/bus.js';
import { button, make, once } from '../common/dom.js';
import { current } from '../chat/current.js';
import { words } from '../words/many.js';
import { Card } from './card.js';
import { compared } from './compared.js';
import { Gold } from './gold.js';
import { Tally, leaders } from './tally.js';

export class ManyReplies {
  // `group` and `messages` (its replies) as the server tells them.
  constructor(group, messages) {
    this.isVote = group.kind === 'vote';
    this.cards = new Map();
    this.tally = new Tally((index) => this.showCard(index));
    this.said = make('p', { class: 'standing' });
    this.gold = new Gold(group.id);
    this.gold.onSet = (told) => this.update(told);
    this.again = button(words.again, once(() => this.askAgain()), { class: 'quiet again' });
    this.error = make('p', { class: 'alarm', role: 'alert' });
    this.grid = make('div', { class: 'cards', role: 'group', 'aria-label': words.replies });
    this.node = make('section', { class: `many ${group.kind}`, 'aria-label': this.isVote ? words.vote : words.compare },
      this.isVote ? this.tally.node : this.said, this.gold.node, this.error, this.grid, this.again);
    this.group = group;
    for (const message of messages) this.place(message);
    this.draw();
    const leave = on('conversation-changed', () => (this.node.isConnected ? this.draw() : leave()));
  }

  // A message as a whole, what came since (a delta), or the group.
  update(news) {
    if (news.kind) this.group = news;
    else if (news.role) this.place(news);
    else {
      this.cards.get(news.id)?.grow(news);
      return;
    }
    this.draw();
  }

  place(message) {
    const known = this.cards.get(message.id);
    if (known) {
      known.update(message);
      return;
    }
    const title = this.isVote ? words.card.thought(message.choice + 1) : message.model;
    const card = new Card(message, title, () => this.choose(message.id));
    this.cards.set(message.id, card);
    this.grid.append(card.node);
  }

  get isLive() { return [...this.cards.values()].some((card) => card.isLive); }

  // What came of the last reply is told a little after its end, and never where the server ended before it.
  get isOpen() {
    const states = [...this.cards.values()].map(({ message }) => message.state);
    return states.includes('live') || !(this.group.report.over || states.includes('interrupted'));
  }

  draw() {
    const { report } = this.group;
    if (this.isVote) this.tally.update(report, this.isOpen);
    else this.said.textContent = compared(this.group, [...this.cards.values()].map(({ message }) => message), this.isOpen);
    this.gold.update(this.group);
    this.again.hidden = this.isLive || ![...this.cards.values()].some((card) => card.isBroken);
    const chosen = this.chosen();
    for (const [id, card] of this.cards) {
      card.show(this.mark(id, card.message), id === chosen);
      // The first stands for all while they run: choosing it then would say nothing.
      card.hold(this.isLive && id === report.replies?.[0]);
    }
  }

  // What is to be said of a reply: by the gold answer, else by the vote, else by how it ended.
  mark(id, message) {
    const { report } = this.group;
    if (message.state === 'live') return null;
    if (message.finish_reason === 'stopped') return 'early';
    if (message.state !== 'done') return message.state;
    if (message.finish_reason !== 'stop') return message.finish_reason;
    if (report.marks?.[id]) return report.marks[id];
    if (report.answers?.[id] === null) return 'none';
    return this.isVote && report.over ? this.sided(id) : null;
  }

  sided(id) {
    const index = this.group.report.replies.indexOf(id);
    const first = leaders(this.group.report);
    if (!first.some(({ choices }) => choices.includes(index))) return 'minority';
    return first.length > 1 ? 'tied' : 'majority';
  }

  // The conversation's head where it is one of these; else the one that its branch goes through. The first stands
  // for all of them until the vote has chosen.
  chosen() {
    const { conversation, path } = current();
    const id = this.cards.has(conversation?.head) ? conversation.head : path.find((message) => this.cards.has(message.id))?.id;
    return this.isLive && id === this.group.report.replies?.[0] ? null : id;
  }

  async choose(id) {
    this.error.textContent = '';
    try {
      await patch(`/page/conversations/${this.group.conversation}`, { head: id });
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  // The same question once more, with as many replies: a version of its own. The stream tells of it.
  async askAgain() {
    this.error.textContent = '';
    const messages = [...this.cards.values()].map(({ message }) => message);
    const question = current().path.find(({ id }) => id === messages[0].parent);
    const asked = this.isVote ? { n: messages.length } : { models: messages.map(({ settings }) => settings.model) };
    const { conversation, gold } = this.group;
    try {
      await post('/page/many', { conversation, text: question.content, parent: question.parent, gold, ...asked });
    } catch (error) {
      this.error.textContent = error.message;
    }
  }

  showCard(index) {
    const card = this.cards.get(this.group.report.replies[index]);
    card?.node.scrollIntoView({ block: 'nearest' });
    card?.name.focus({ preventScroll: true });
  }
}
