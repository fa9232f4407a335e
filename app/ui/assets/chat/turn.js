// A question with its reply, or with several that were asked together.
import { make } from '../common/dom.js';
import { branches } from './branches.js';
import { Question } from './question.js';
import { Reply } from './reply.js';

// A record is told once; what came since is told as deltas. What comes while the view is fetched waits for it.
class Many {
  constructor(id, told) {
    this.id = id;
    this.told = new Map(told.map((record) => [record.id, record])); // the newest of each
    this.view = null;
    this.early = [];
  }

  tell(record) {
    if (this.told.get(record.id) !== record) this.pass(record);
    this.told.set(record.id, record);
  }

  pass(news) {
    if (this.view) this.view.update(news);
    else this.early.push(news);
  }

  open(view) {
    this.view = view;
    for (const news of this.early.splice(0)) view.update(news);
  }
}

export class Turn {
  constructor(question, commands) {
    this.commands = commands;
    this.node = make('article', { class: 'turn' });
    if (question) {
      this.question = new Question(question, commands);
      this.node.append(this.question.node);
    }
  }

  // `entry`: {question, reply, group, members}. `fold`: how a thought that is new here is shown. What is given is
  // over when all of it stands.
  update(entry, fold) {
    if (entry.question && entry.question !== this.question.message) this.question.update(entry.question);
    if (this.question) this.question.isAnswered = Boolean(entry.reply);
    let standing = null;
    if (entry.group) standing = this.showMany(entry);
    else if (!entry.reply) this.clear();
    else if (this.reply?.id === entry.reply.id) this.reply.see(entry.reply);
    else this.showReply(new Reply(entry.reply, this.commands, fold));
    this.node.dataset.state = this.reply?.node.dataset.state ?? '';
    return standing;
  }

  // Several: a view of their own (assets/many), which is told all that a single reply would be.
  async showMany({ group, members, reply }) {
    if (this.many?.id === group.id) {
      for (const news of [group, ...members]) this.many.tell(news);
      this.showOthers(reply, members);
      return;
    }
    const many = new Many(group.id, [group, ...members]);
    this.clear();
    this.many = many;
    try {
      const { ManyReplies } = await import('../many/many.js');
      if (this.many !== many) return;
      many.open(new ManyReplies(group, members));
      this.node.append(many.view.node);
      this.showOthers(reply, members);
    } catch {
      this.many = null;
      if (reply) this.showReply(new Reply(reply, this.commands, 'closed'));
    }
  }

  // The way to replies to the same question that are none of these: what went on from one of them, say.
  showOthers(reply, members) {
    const own = new Set(members.map(({ id }) => id));
    const siblings = (reply.siblings ?? []).filter((id) => id === reply.id || !own.has(id));
    const drawn = [reply.id, ...siblings].join();
    if (this.others?.isConnected && this.others.dataset.of === drawn) return;
    this.others?.remove();
    this.others = branches({ id: reply.id, siblings }, 'reply', (id) => this.commands.choose(id));
    if (!this.others) return;
    this.others.dataset.of = drawn;
    if (this.many?.view) this.node.append(this.others);
  }

  // Where the message stands; null: not here.
  nodeOf(id) {
    if (this.question?.message.id === id) return this.question.node;
    if (this.reply?.id === id) return this.reply.node;
    return this.many?.told.has(id) ? this.node : null;
  }

  showReply(reply) {
    this.clear();
    this.reply = reply;
    this.node.append(reply.node);
    reply.answer.settle();
  }

  // Called once it is in the page.
  settle() {
    this.question?.settle();
    this.reply?.answer.settle();
  }

  clear() {
    this.end();
    this.reply?.node.remove();
    this.many?.view?.node.remove();
    this.others?.remove();
    this.reply = this.many = null;
  }

  end() {
    this.reply?.end();
  }

  grow(delta) {
    if (this.reply?.id === delta.id) {
      this.reply.grow(delta);
      this.node.dataset.state = this.reply.node.dataset.state;
    } else {
      this.many?.pass(delta);
    }
  }
}
