// The turns of the conversation that is shown, kept in step with its path.
import { make, place } from '../common/dom.js';
import { words } from '../words/chat.js';
import { Follower } from './follow.js';
import { holdFocus } from './focus.js';
import { phase } from './header.js';
import { preferredFold } from './thought.js';
import { Turn } from './turn.js';

// [{question, reply, group, members}]: imports may begin with a reply or leave a question without one.
export const entriesOf = (path, groups, members) => {
  const entries = [];
  for (const message of path) {
    if (message.role === 'user') entries.push({ question: message });
    else {
      const last = entries.at(-1);
      const entry = last && !last.reply ? last : entries[entries.push({}) - 1];
      entry.reply = message;
      entry.group = groups[message.group];
      entry.members = entry.group ? members(message) : [];
    }
  }
  return entries;
};

const keyOf = ({ question, reply }) => question?.id ?? `to ${reply.parent}`;

export class Transcript {
  constructor(commands, announcer) {
    this.commands = commands;
    this.announcer = announcer;
    this.node = make('section', { class: 'turns', 'aria-label': words.conversation, 'aria-live': 'off' });
    this.turns = new Map();
    this.begun = new WeakSet();
    const isShown = () => this.node.offsetParent !== null;
    this.follower = new Follower(document.scrollingElement, window, isShown);
    let wasShown = false;
    new ResizeObserver(() => {
      if (isShown() && !wasShown) this.follower.resume();
      wasShown = isShown();
    }).observe(this.node);
  }

  // Turns that stay keep their place, their folds and their text.
  show(entries) {
    const handOn = holdFocus(this.node);
    const kept = new Map();
    const fresh = [];
    for (const [index, entry] of entries.entries()) {
      const key = keyOf(entry);
      const turn = this.turns.get(key) ?? new Turn(entry.question, this.commands);
      const isNew = entry.reply?.state === 'live' || index === entries.length - 1;
      turn.update(entry, isNew ? preferredFold() : 'closed')?.then(() => this.follow());
      if (!this.turns.has(key)) fresh.push(turn);
      kept.set(key, turn);
    }
    for (const [key, turn] of this.turns) if (kept.get(key) !== turn) turn.end();
    place(this.node, [...kept.values()].map(({ node }) => node));
    this.turns = kept;
    for (const turn of fresh) turn.settle();
    handOn();
    this.follow();
  }

  toEnd() { this.follower.toEnd(); }

  // One reply is followed to its end. Several are read from the top, where it says what they came to.
  follow() {
    const last = [...this.turns.values()].at(-1);
    if (!last?.many) this.follower.follow();
    else if (last.many.view && !this.begun.has(last)) {
      this.begun.add(last);
      this.follower.release();
      last.node.scrollIntoView({ block: 'start' });
    }
  }

  // Whether the message is here; the reader is brought to it and stays there.
  reveal(id) {
    const node = [...this.turns.values()].map((turn) => turn.nodeOf(id)).find(Boolean);
    if (!node) return false;
    this.follower.release();
    node.scrollIntoView({ block: 'start' });
    node.classList.add('found');
    node.addEventListener('animationend', () => node.classList.remove('found'), { once: true });
    return true;
  }

  grow(deltas) {
    for (const delta of deltas) {
      for (const turn of this.turns.values()) turn.grow(delta);
    }
    this.follow();
  }

  // What the newest reply does, for the announcer; null where there is none.
  tell(message) {
    if (message) this.announcer.tell(phase(message), message);
  }

  get live() {
    return [...this.turns.values()].map(({ reply }) => reply).filter((reply) => reply?.isLive);
  }

  stopping() {
    for (const reply of this.live) reply.stopping();
  }

  // The budget of what runs was changed; null: there is none to show.
  limit(tokens) {
    for (const reply of this.live) reply.limit(tokens);
  }
}
