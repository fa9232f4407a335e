// What replies that were asked together say: votes, comparisons, and the control that asks for them.

import { plural, seconds, tokens } from './quantities.js';

const thoughts = (n) => plural(n, 'thought', 'thoughts');
const percent = (part, whole) => `${Math.round((100 * part) / whole)} %`;

const list = (items) => (items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`);

export const words = {
  vote: 'Vote of the thoughts',
  compare: 'Two models on the same question',
  replies: 'Replies, side by side',

  tally: {
    label: 'Votes',
    none: 'no answer',
    share: (votes, n) => `${votes} of ${n}, ${percent(votes, n)}`,
    voters: 'Given by',
    show: (n) => `Show thought ${n}`,
  },

  standing: {
    begins: (n) => `${thoughts(n)} at once; each gives its answer in \\boxed{}.`,
    running: (finished, n, answer, votes) => `${finished} of ${n} have finished. ${answer === null ? 'No answer yet.' : `${answer} leads with ${votes}.`}`,
    won: (answer, votes, n) => `${votes} of ${n} say ${answer}: ${percent(votes, n)} agree.`,
    tie: (answers, votes) => `A tie: ${list(answers)} have ${plural(votes, 'vote', 'votes')} each. The earliest thought decides.`,
    silent: (n) => `None of the ${thoughts(n)} gave an answer in \\boxed{}.`,
    stopped: (finished, n) => `Stopped; ${finished} of ${n} had finished.`,
    broken: (finished, n) => `The vote broke off; ${finished} of ${n} had finished.`,
    early: (n) => `Stopped early: the majority could not change, so ${thoughts(n)} did not have to end.`,
  },

  minority: (answers) => `Minority: ${list(answers)}.`,

  compared: {
    running: 'Both are at work.',
    agree: (answer) => `Both say ${answer}.`,
    differ: (one, other) => `They differ: ${one} and ${other}.`,
    silent: (names) => `No answer in \\boxed{} from ${list(names)}.`,
    failed: (names) => `No whole reply from ${list(names)}.`,
    length: (longer, shorter, ratio) => `${longer} thinks ${ratio} times as long as ${shorter}.`,
    same: 'Both think about as long.',
  },

  again: 'Ask again',

  gold: {
    label: 'Right answer', placeholder: 'If you know it', set: 'Mark', clear: 'Take back',
    counted: (right, wrong, none) => [`${right} right`, `${wrong} wrong`, none ? `${none} without an answer` : ''].filter(Boolean).join(', '),
  },

  marks: {
    right: 'right', wrong: 'wrong', none: 'no answer', majority: 'majority', minority: 'minority', tied: 'tied',
    early: 'stopped early', stopped: 'stopped', failed: 'failed', interrupted: 'interrupted', length: 'cut off',
  },

  card: {
    thought: (n) => `Thought ${n}`,
    waiting: (ahead) => (ahead > 0 ? `Waiting, ${ahead} ahead` : 'Waiting'),
    thinking: (value, n) => `Thinking ${Math.floor(value)} s, ${tokens(n)}`,
    answering: (n) => `Answering, ${tokens(n)}`,
    // What a server wrote that was killed has no figures.
    done: (value, n) => (n ? `${seconds(value)}, ${tokens(n)}` : ''),
    trace: (value, n) => (n ? `Thought ${seconds(value)}, ${tokens(n)}` : 'Thought'),
    loading: 'Loading the thought…',
    copy: 'Copy answer', choose: 'Go on with this', chosen: 'Goes on from here',
    early: 'Stopped early: the majority could not change.',
    length: 'Cut off: it reached its token limit.',
    stopped: 'Stopped.',
    interrupted: 'The server ended while this was written; what had come is kept.',
    live: 'Growing thought',
  },

  ask: {
    button: 'Replies', one: '1 reply', vote: (n) => thoughts(n), two: 'Two models',
    legend: 'How many replies',
    oneWhy: 'One thought, one answer.',
    votes: 'Thoughts that vote',
    voteWhy: 'The same question is thought through several times; the answer that most come to wins.',
    n: 'Number of thoughts',
    models: 'Two models side by side',
    modelsWhy: 'For example a teacher beside its student.',
    first: 'One model', second: 'The other model',
    tooFew: 'There is only one model here.',
    known: (many, gold) => `${many}, right answer ${gold}`,
    gold: 'Right answer', goldWhy: 'If you know it, each reply is marked right or wrong.',
    done: 'Done',
  },
};
