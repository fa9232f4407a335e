// The conversation that is shown, as the server tells it, and everything that can be done with it.
import { SOON_MS, call, get, listen } from '../common/api.js';
import { emit } from '../common/bus.js';
import { words } from '../words/chat.js';
import { current, show } from './current.js';

// Changes of one action come one after another; only when they are through can the path be told wrong.
const SETTLE_MS = 300;
const RETRY_MS = 2000;
// What is opened comes sooner, as a rule; until then the page need not flicker.
const OPENING_MS = 150;

export class Session {
  // `view`: {show(), grow(deltas), ended(message), lost(isLost), gone(error)}
  constructor(view) {
    this.view = view;
    this.members = new Map(); // group id -> Map of id -> message
    this.leave = () => {};
    this.arrive = () => {};
  }

  // Attaches to a conversation, or to none: what is asked then begins one.
  open(id) {
    this.detach();
    this.visit = Symbol(id);
    this.members.clear();
    if (!id) this.present(null, [], {});
    else this.attach(id);
    if (this.isShown) return;
    this.arrival = new Promise((resolve) => { this.arrive = resolve; });
    this.late = setTimeout(() => this.present(null, [], {}), OPENING_MS);
  }

  // Not so while it is opened: what can be seen until then is another one, or none.
  get isShown() { return this.id === (current().conversation?.id ?? null); }

  attach(id) {
    this.leave();
    this.id = id;
    const lost = (isClosed) => (isClosed ? this.refused() : this.view.lost(true));
    this.leave = listen(`/page/conversations/${id}/events`, (event) => this.receive(event), lost);
  }

  detach() {
    clearTimeout(this.retry);
    clearTimeout(this.doubt);
    clearTimeout(this.late);
    this.leave();
    this.arrive();
    this.arrival = null;
    this.id = null;
    this.view.lost(false);
  }

  // A stream that the server has refused does not come back by itself: its conversation may be gone, or the server away.
  async refused() {
    const { id, visit } = this;
    this.leave();
    const problem = await get(`/page/conversations/${id}`).then(() => null, (error) => error);
    if (this.visit !== visit) return;
    if (problem?.status === 404) {
      this.view.gone();
      return;
    }
    this.view.lost(true);
    this.retry = setTimeout(() => this.attach(id), RETRY_MS);
  }

  receive(event) {
    this.view.lost(false);
    const { type } = event;
    if (type === 'open') {
      clearTimeout(this.late);
      const wereLive = new Set(current().conversation?.id === event.conversation.id ? this.live.map(({ id }) => id) : []);
      this.members.clear();
      for (const { replies = [] } of Object.values(event.groups)) for (const reply of replies) this.keep(reply);
      this.present(event.conversation, event.path, event.groups);
      this.arrive();
      // What ended before the stream began, or while it was away, has ended all the same.
      for (const message of event.path) {
        if (this.isOver(message) && this.together(message).some(({ id }) => wereLive.has(id))) this.view.ended(message);
      }
    } else if (type === 'deltas') {
      for (const { id, reasoning, html, tail, ...stands } of event.replies) Object.assign(this.member(id) ?? {}, stands);
      this.view.grow(event.replies);
    }
    else if (type === 'message') this.adopt(event.message);
    else if (type === 'conversation') this.changed(event.conversation);
    else if (type === 'group') this.present(current().conversation, current().path, { ...current().groups, [event.group.id]: event.group });
    else if (type === 'gone') this.view.gone(null);
  }

  present(conversation, path, groups) {
    for (const message of path) this.keep(message);
    show(conversation, path, groups);
    this.view.show();
  }

  keep(message) {
    if (!message.group) return;
    if (!this.members.has(message.group)) this.members.set(message.group, new Map());
    this.members.get(message.group).set(message.id, message);
  }

  // Replies that were asked together, by age.
  together(message) {
    return [...(this.members.get(message.group)?.values() ?? [message])];
  }

  member(id) {
    return [...this.members.values()].find((group) => group.has(id))?.get(id);
  }

  isOver(message) {
    return this.together(message).every(({ state }) => state !== 'live');
  }

  // A message that is new or has changed. One that begins on another branch takes the path there.
  adopt(message) {
    const { conversation, path, groups } = current();
    const at = path.findIndex(({ id }) => id === message.id);
    const wasLive = (this.member(message.id) ?? path[at])?.state === 'live';
    this.keep(message);
    if (at >= 0) path[at] = message;
    else if (!this.join(path, message)) return;
    this.present(conversation, path, groups);
    if (message.state !== 'live' && wasLive) {
      if (this.isOver(message)) this.view.ended(message);
      emit('conversation-changed', { id: message.conversation });
    }
  }

  join(path, message) {
    const parent = path.findIndex(({ id }) => id === message.parent);
    if (message.parent && parent < 0) return false;
    const next = path[parent + 1];
    if (message.group && next?.group === message.group) return true;
    // A reply that only ended elsewhere leads nobody away from what is shown.
    const isNews = message.state === 'live' || !next || (message.role === 'user' && message.created >= path.at(-1).created);
    if (!isNews) return false;
    path.splice(parent + 1, Infinity, message);
    return true;
  }

  // Others are told when it is shown: they look at what is.
  changed(conversation) {
    if (current().conversation?.id === conversation.id) {
      const { path, groups } = current();
      show(conversation, path, groups);
      this.view.show();
      clearTimeout(this.doubt);
      this.doubt = setTimeout(() => this.check(), SETTLE_MS);
    }
    emit('conversation-changed', { id: conversation.id });
  }

  // The head is elsewhere, in another tab or by another way: begin anew from there.
  check() {
    const { conversation, path } = current();
    const leaf = path.at(-1);
    const shown = new Set(path.slice(-1).flatMap((message) => this.together(message)).map(({ id }) => id));
    if (!leaf || shown.has(conversation.head) || !this.id) return;
    this.leave();
    this.attach(this.id);
  }

  get live() {
    return current().path.flatMap((message) => (message.group ? this.together(message) : [message]))
      .filter(({ state }) => state === 'live');
  }

  // Nothing is done while another conversation is opened: it would be done to one that was left, or is not seen yet.
  send(method, path, body = {}, limit = undefined) {
    if (!this.isShown) throw new Error(words.opening.wait);
    return call(method, path, body, limit);
  }

  // `settings` are those of a chat that does not exist yet; `many` asks for several replies (assets/many).
  // Gives whether the person is still here.
  async ask(text, { parent, settings, many } = {}) {
    const { id, visit } = this;
    await this.arrival;
    if (this.visit !== visit) throw new Error(words.opening.left);
    const body = { conversation: id, text, ...many };
    if (parent !== undefined) body.parent = parent;
    if (!id && settings) body.settings = settings;
    const begun = await this.send('POST', many ? '/page/many' : '/page/ask', body, SOON_MS);
    // Who has gone to another chat meanwhile stays there.
    const isHere = this.visit === visit;
    if (isHere) this.begun(begun);
    else emit('conversation-changed', { id: begun.conversation.id });
    return isHere;
  }

  // What was asked by any room's route that answers {conversation, question, reply or replies, group}.
  begun({ conversation, question, reply, replies = [reply], group = null }) {
    const isFirst = current().conversation?.id !== conversation.id;
    const { path, groups } = isFirst ? { path: [], groups: {} } : current();
    if (this.id !== conversation.id) this.attach(conversation.id);
    const known = path.findIndex(({ id }) => id === question.id);
    if (known < 0) this.join(path, question);
    for (const each of replies) if (!this.members.get(each.group)?.has(each.id)) this.keep(each);
    if (known < 0 || !path[known + 1]) this.join(path, replies[0]);
    this.present(conversation, path, group ? { ...groups, [group.id]: group } : groups);
    emit('conversation-changed', { id: conversation.id });
  }

  async regenerate(id) { this.begin(await this.send('POST', `/page/messages/${id}/regenerate`)); }

  async answerAgain(id) { this.begin(await this.send('POST', `/page/messages/${id}/answer_again`)); }

  async fork(id, at, text) { this.begin(await this.send('POST', `/page/messages/${id}/fork`, { at, text })); }

  async goOn(id) { this.begin(await this.send('POST', `/page/messages/${id}/continue`)); }

  // What the stream has told already is newer than this answer.
  begin({ reply }) {
    if (!current().path.some(({ id }) => id === reply.id)) this.adopt(reply);
  }

  control(id, action, tokens) {
    return this.send('POST', `/page/messages/${id}/control`, tokens === undefined ? { action } : { action, tokens });
  }

  // What was asked together is stopped together.
  stop() {
    const paths = this.live.map(({ id, group }) => (group ? `/page/groups/${group}/stop` : `/page/messages/${id}/control`));
    return Promise.all([...new Set(paths)].map((path) => this.send('POST', path, path.endsWith('control') ? { action: 'stop' } : {})));
  }

  // Shows the newest leaf under a message: of several choices the last one. It is known where the head is then.
  async choose(id) {
    const { visit } = this;
    const before = this.choosing;
    this.choosing = (async () => {
      await before?.catch(() => {});
      if (this.visit === visit) await this.update({ head: id });
    })();
    await this.choosing;
    if (this.visit !== visit) return;
    clearTimeout(this.doubt);
    this.check();
  }

  async update(changes) {
    this.changed(await this.send('PATCH', `/page/conversations/${this.id}`, changes));
  }
}
