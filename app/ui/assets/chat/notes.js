// What has to be said about how a reply ended, in words; nothing when it ended as it should.
import { words } from '../words/chat.js';

export const notes = (message) => {
  const { notes: said, ends } = words;
  const budget = message.settings?.thinking === 'budget' ? message.settings.budget : 0;
  const lines = [];
  if (message.origin === 'fork') lines.push(said.forked);
  const isOff = message.settings?.thinking === 'off';
  if (!isOff && ends[message.reasoning_end] && message.state !== 'stopped') lines.push(ends[message.reasoning_end](budget));
  if (message.state === 'stopped') {
    lines.push(!hasText(message) ? said.notBegun : message.content ? said.stopped(message.total_s || 0) : said.goesOn);
  }
  if (message.state === 'interrupted') lines.push(said.interrupted);
  if (message.state === 'done' && message.finish_reason === 'length') {
    if (message.reasoning_end !== 'length') lines.push(said.length);
  } else if (message.state === 'done' && !message.content) lines.push(said.noAnswer);
  return lines;
};

export const canGoOn = (message) =>
  ['stopped', 'interrupted', 'failed'].includes(message.state) ? hasText(message) : message.finish_reason === 'length';

const hasText = (message) => Boolean(message.content || message.reasoning_chars);
