// One line above a thought: how long, how many tokens, how fast. It runs by itself between two pieces of news.
import { words } from '../words/chat.js';

// waiting, thinking, answering while live; then done, stopped, failed, interrupted.
export const phase = (message) => {
  if (message.state !== 'live') return message.state;
  if (message.state2) return message.state2;
  if (message.content || message.html || message.tail) return 'answering';
  return message.reasoning ? 'thinking' : 'waiting';
};

export const hasThought = (message) => Boolean(message.reasoning_tokens || message.reasoning_chars || message.reasoning);

// What was kept of another thought took no time here, so that counts and seconds do not go together.
const rateOf = (message) => {
  if (message.state === 'live' && message.tokens_per_s) return message.tokens_per_s;
  const { thinking_s: seconds = 0, reasoning_tokens: tokens = 0, kept_chars: kept = 0 } = message;
  return seconds > 0.05 && tokens > 1 && !kept ? tokens / seconds : 0;
};

// `elapsed`: seconds since the message was last heard of.
export const header = (message, elapsed) => {
  const { thinking_s: thinking = 0, reasoning_tokens: tokens = 0, total_s: total = 0 } = message;
  const state = phase(message);
  if (state === 'waiting') return words.header.waiting(total + elapsed, message.position ?? 0);
  if (state === 'thinking') return words.header.thinking(thinking + elapsed, tokens, rateOf(message));
  if (!hasThought(message)) return words.header.none;
  if (state === 'stopped' && thinking > 0 && !message.content) return words.header.stopped(thinking, tokens);
  if (['failed', 'interrupted'].includes(state) && !message.content) return words.header.brokeOff(thinking, tokens);
  return words.header.thought(thinking, tokens, rateOf(message));
};
