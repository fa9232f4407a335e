// What the chat says.

import { count, plural, seconds, tokens } from './quantities.js';

// While it runs the tenths would only flicker.
const running = (value) => seconds(Math.max(10, value)).replace(/^10 s$/, `${Math.floor(value)} s`);

const rate = (value) => (value ? `, ${count(value)} tok/s` : '');

export const words = {
  examples: [
    'A farmer has 17 sheep. All but 9 run away. How many are left?',
    'What is 15% of 240?',
    'Emily buys 3 apples and 2 oranges. Each orange costs $2. The total is $13. What is the cost of each apple?',
    'A train travels the first half of a trip at 30 mph and the second half at 60 mph. What is its average speed?',
    'How many times does the letter r appear in strawberry?',
    'Which is larger, 9.9 or 9.11?',
    'What is 347 + 589?',
    'What is 23 * 17?',
  ],
  welcome: {
    label: 'Examples',
    invitation: 'Ask a question, and watch it being thought through.',
    demo: 'This is the demo model that comes along: a few million parameters, good at small sums and little else.',
    bigger: 'Choose a bigger model',
  },

  toolbar: {
    list: 'Conversations', fresh: 'New chat', settings: 'Settings', shortcuts: 'Keyboard shortcuts',
    untitled: 'New chat',
  },

  conversation: 'Conversation',
  opening: {
    now: 'Opening…', wait: 'The chat is still being opened.', left: 'The chat was left before this could be asked.',
  },
  composer: {
    label: 'Your question', placeholder: 'Ask a question', ask: 'Ask', sending: 'Sending…', stop: 'Stop', stopping: 'Stopping…',
    stopKey: 'Stop (Esc)', busy: 'Wait for the reply, or stop it.',
  },

  thinking: {
    legend: 'Thinking',
    auto: 'Auto', budget: 'Budget', off: 'Off',
    why: {
      auto: 'The model decides how long it thinks.',
      budget: 'It thinks for so many tokens at most and then answers.',
      off: 'It answers at once.',
    },
    slider: 'Thinking budget', number: 'Thinking budget in tokens', unit: 'tokens', tokens,
  },

  gauge: {
    label: 'Thinking budget used',
    value: (used, budget) => `${count(used)} of ${tokens(budget)}`,
  },

  steer: {
    now: 'Answer now', nowKey: 'Answer now (Ctrl+.)', ending: 'Ending the thought…',
    more: 'Think more', going: 'Will think on',
    moreWhy: 'When the model would end its thought, it goes on once',
    late: 'It has already ended its thought.',
  },

  header: {
    waiting: (value, ahead) => (ahead > 0 ? `Waiting ${running(value)}, ${ahead} ahead` : `Waiting ${running(value)}`),
    thinking: (value, n, perSecond) => `Thinking ${running(value)}, ${tokens(n)}${rate(perSecond)}`,
    // What was imported, or written by a server that was killed, has no figures.
    thought: (value, n, perSecond) => (n ? `Thought ${seconds(value)}, ${tokens(n)}${rate(perSecond)}` : 'Thought'),
    stopped: (value, n) => `Stopped after ${seconds(value)}, ${tokens(n)}`,
    brokeOff: (value, n) => (n ? `Broke off after ${seconds(value)}, ${tokens(n)}` : 'Broke off'),
    stopping: 'Stopping…',
    none: 'No thought',
  },

  trace: {
    label: 'Thought', text: 'Reasoning', all: 'Show all', less: 'Show less', fold: 'Fold the thought',
    loading: 'Loading the thought…',
  },

  answer: {
    label: 'Answer', copy: 'Copy answer', copyThought: 'Copy thought', copied: 'Copied',
    notCopied: 'The browser did not allow it',
    again: 'Regenerate', sameThought: 'New answer, same thought', goOn: 'Continue', retry: 'Try again',
    actions: 'With this reply',
  },

  question: {
    edit: 'Edit', label: 'Edit the question', send: 'Send', cancel: 'Cancel',
  },

  branches: {
    label: (what) => `Versions of the ${what}`,
    question: 'question', reply: 'reply',
    at: (n, all) => `${n} / ${all}`,
    before: 'Earlier version', after: 'Later version',
  },

  // Why a thought ended, where the model did not end it by itself.
  ends: {
    budget: (budget) => (budget ? `The thought was ended at its budget of ${tokens(budget)}.` : 'The thought was ended at its budget.'),
    soft_landing: () => 'The thought was brought to its end as its budget ran out.',
    loop: () => 'The thought went round in circles and was ended.',
    reserve: () => 'The thought was ended to leave room for the answer.',
    user: () => 'You asked for the answer, which ended the thought.',
    eos_in_think: () => 'The model stopped within its thought.',
    length: () => 'The reply reached its token limit within the thought.',
  },

  notes: {
    length: 'Cut off: the reply reached its token limit. Continue goes on from here.',
    noAnswer: 'The model ended without an answer.',
    stopped: (value) => `Stopped after ${seconds(value)}. Continue goes on from here.`,
    notBegun: 'Stopped before it began.',
    goesOn: 'Continue goes on from here.',
    interrupted: 'The server ended while this was written; what had come is kept. Continue goes on from here.',
    forked: 'Goes on from an edited thought.',
  },

  errors: {
    kept: 'What had come is kept. Try again, or continue from it.',
    again: 'Try again; Settings and Models have what could be changed.',
    gone: 'This conversation is not here any more.',
  },

  lost: 'The connection to the server is lost. The page goes on by itself when the server is back.',

  said: {
    waiting: 'Waiting', thinking: 'Thinking', answering: 'Answering',
    done: (value) => (value < 1 ? 'Done' : `Done, ${plural(Math.round(value), 'second', 'seconds')}`),
    stopped: 'Stopped', interrupted: 'Interrupted', failed: (error) => `Failed: ${error}`,
    stopping: 'Stopping',
  },
};
