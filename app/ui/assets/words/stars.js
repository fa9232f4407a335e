// What a person reads of the distil set.

import { count, moment, plural } from './quantities.js';

const ENDS = {
  budget: 'Its thought was ended by the budget, not by itself.',
  reserve: 'Its thought was ended to leave room for an answer.',
  loop: 'Its thought went round in circles and was ended.',
  user: 'Its thought was ended by Answer now.',
  soft_landing: 'Its thought was led to its end, it did not end by itself.',
  eos_in_think: 'It stopped in the middle of its thought.',
  length: 'Its thought was cut off at the longest length.',
};

const SHAPES = {
  no_question: 'There is no question.',
  no_thought: 'There is no closed thought.',
  empty_thought: 'The thought is empty.',
  stray_tag: 'There is a think tag inside the thought or the answer.',
  empty_answer: 'The answer is empty.',
};

// gate -> reason -> sentence; the detail is what the server found
const SENTENCES = {
  ended: {
    natural: () => 'Thought and answer ended by themselves.',
    edited: () => 'You wrote its end.',
    stopped: () => 'It was stopped before its end.',
    failed: () => 'It failed before its end.',
    interrupted: () => 'It was interrupted before its end.',
    answer_cut: () => 'Its answer was cut off at the longest length.',
  },
  shape: { whole: () => 'One closed thought with an answer behind it.' },
  loop: {
    none: () => 'It does not go round in circles.',
    repeated_words: ({ found }) => `It says the same again and again: ${found}`,
    repetitive_text: () => 'It says hardly anything new.',
  },
  length: {
    fits: ({ tokens }) => `${plural(tokens, 'token', 'tokens')}: long enough, and not too long.`,
    short: ({ tokens, least }) => `Its thought has ${plural(tokens, 'token', 'tokens')}; a student learns nothing from fewer than ${least}.`,
    long: ({ tokens, most }) => `${count(tokens)} tokens; a run drops what is longer than ${count(most)}.`,
  },
  language: {
    usual: () => 'It is in the language that runs learn.',
    language: ({ found }) => `A run from this page learns English thoughts, and would drop it (${found}). Export the set, then: r1chat distill --student NAME --traces FILE --language CODE`,
  },
  context: {
    first: () => 'Its question stands alone.',
    alone: () => 'You say that its question stands alone.',
    later: ({ before }) => `${plural(before, 'message stands', 'messages stand')} before its question, and a row is one question alone.`,
    system: () => 'A system prompt stood before its question, and a row has none.',
  },
  answer: {
    gold: ({ gold }) => `Its answer is the known one: ${gold}`,
    vote: () => 'Most of its siblings came to the same answer.',
    person: () => 'You checked its answer.',
    unchecked: () => 'Nobody has checked its answer yet.',
    against_gold: ({ said }) => (said ? `Its answer is ${said}, and the known one is another.` : 'Its answer is not the known one.'),
    against_vote: ({ said }) => `Most of its siblings came to another answer: ${said}`,
    no_majority: () => 'There was a vote, and no clear majority.',
    no_math: () => 'Whether it is the known answer cannot be told without math-verify: pip install "r1chat[distill]"',
    unreadable: () => 'A run could not find the answer in this text. End it with a line, or with \\boxed{…}.',
  },
  unique: {
    unique: () => 'Nothing in the set is the same.',
    duplicate: () => 'The set has the same question with the same thought already.',
  },
};

const sentence = ({ name, reason, detail }) => {
  if (name === 'ended' && reason.startsWith('thought_')) return ENDS[reason.slice(8)] ?? 'Its thought did not end by itself.';
  if (name === 'shape' && SHAPES[reason]) return SHAPES[reason];
  return SENTENCES[name]?.[reason]?.(detail) ?? reason;
};

const STATES = { accepted: 'Accepted', waiting: 'Waiting for a check', refused: 'Refused' };

export const words = {
  title: 'Distil set',
  intro: 'Turns that you starred, for a student to learn from. Each is a copy: it stays when its chat is deleted, until you take it out.',
  empty: 'Nothing is starred yet. Press Star below an answer, and it comes here with what speaks for and against it.',
  emptyState: 'No turn is in this state.',
  states: STATES,
  gateStates: { passed: 'passed', open: 'open', failed: 'failed' },
  filters: { '': 'All', waiting: 'Waiting', accepted: 'Accepted', refused: 'Refused' },
  filterLabel: 'Which turns are shown',
  counted: (text, n) => `${text} ${count(n)}`,
  sentence,
  more: 'Show more',

  export: 'Export',
  exportTitle: 'Export the accepted turns',
  exportNone: 'No turn is accepted yet, so there is nothing to export.',
  exportCount: (n) => `${plural(n, 'turn', 'turns')}, as a file with a line for each.`,
  exportTraces: 'For r1chat distill',
  exportTracesWhy: 'With model, sampling and the checked answer; r1chat distill --traces FILE reads it as it is.',
  exportShareGpt: 'ShareGPT',
  exportShareGptWhy: 'Conversations, the thought between think tags; for other trainers.',
  startRun: 'Start a run with these',

  review: 'Review',
  back: 'Back to the list',
  choose: 'Choose a turn to review it.',
  by: (model) => model || 'unknown model',
  when: moment,
  thoughtTokens: (n) => (n ? `${plural(n, 'token', 'tokens')} of thought` : null),
  edited: 'Edited by you',
  checkedBy: { gold: 'known answer', vote: 'by vote', person: 'checked by you' },
  gates: 'What speaks for and against it',
  question: 'Question',
  thought: 'Thought',
  answer: 'Answer',
  edit: 'Edit',
  save: 'Save',
  saving: 'Saving …',
  cancel: 'Cancel',
  changes: 'Your changes',
  tooLong: 'Too long to show its changes.',
  checked: 'I checked it: the answer is right',
  alone: 'The question stands alone',
  gold: 'Known answer',
  goldHint: 'If you know it, the answer is compared with it.',
  compare: 'Compare',
  similar: 'Nearly the same question',
  alike: (share) => `${Math.round(100 * share)} % alike`,
  madeWith: 'How it was made',
  sampling: { temperature: 'temperature', top_p: 'top p', top_k: 'top k', min_p: 'min p', repetition_penalty: 'repetition penalty', seed: 'seed', max_tokens: 'longest reply' },
  serversChoice: 'the server’s own sampling',
  reply: (id) => `reply ${id}`,
  wentOn: 'You went on from an edited thought',
  openChat: 'Open the chat',
  remove: 'Take out of the set',
  removeTitle: 'Take this turn out of the set?',
  removeText: 'The copy and your edits are deleted. The chat stays as it is.',

  star: 'Star',
  starTitle: 'Keep this turn for a student to learn from',
  checking: 'Checking …',
  mark: { accepted: 'In the distil set', waiting: 'Starred, waits for a check', refused: 'Starred, refused' },
  asksTitle: 'Collect turns of this chat?',
  asksText: 'A starred turn is copied into the distil set, with the question, the thought and the answer. The copy stays on this machine and outlives the chat.',
  asksYes: 'Collect and star',
  asksNo: 'Not now',
};
