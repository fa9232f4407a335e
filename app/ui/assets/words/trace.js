// What the finished thought says to a person.
import { count, plural } from './quantities.js';

const percent = (share) => (share < 0.001 ? 'under 0.1 %' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`);

export const words = {
  loading: 'Loading the thought …',
  empty: 'There is no thought.',
  overview: 'What the thought does',
  kinds: {
    setup: { marker: 'Set-up', legend: 'set-up', tells: 'says what is asked and given' },
    try: { marker: 'Try', legend: 'try', tells: 'works on it' },
    check: { marker: 'Check', legend: 'check', tells: 'verifies what it has' },
    reflection: { marker: 'Rethink', legend: 'rethink', tells: 'doubts or takes something back' },
    alternative: { marker: 'Other way', legend: 'other way', tells: 'tries another approach' },
    final: { marker: 'Answer', legend: 'answer', tells: 'states an answer or sums up' },
  },
  only: (kind, n) => `${kind} ${n}: show only ${n === 1 ? 'this step' : 'these steps'}`,
  nextCheck: 'Next check',
  nextCheckKey: 'C',
  list: 'Steps of the thought',
  help: 'Arrow keys go through the sentences, Enter shows what can be done from one, C goes to the next check.',
  reached: (share) => `Answer first reached at ${Math.round(share * 100)} %`,
  suggests: (budget) => `a budget of about ${count(budget)} tokens would do`,
  setBudget: (budget) => `Set ${count(budget)} for this chat`,
  budgetSet: (budget) => `This chat now thinks ${count(budget)} tokens at most.`,
  show: 'Show',
  mixed: (languages, main, share, n) =>
    `${languages} in ${plural(n, 'place', 'places')} of this ${main} thought (${percent(share)})`,
  showNext: 'Show next',
  cut: (chars) => `Only the first ${count(chars)} characters are shown.`,
  seam: 'Kept up to here; the model went on.',
  tools: 'From this sentence',
  resample: 'Resample from here',
  edit: 'Edit and go on',
  copy: 'Copy',
  copied: 'Copied',
  editor: 'The thought goes on from this text; the rest of it is dropped in the new branch.',
  editLabel: 'Text of the sentence',
  goOn: 'Go on from this',
  cancel: 'Cancel',
};
