// How a vote stands: bars of the answers with their votes, who gave them, and in a sentence what came of it.
import { button, make } from '../common/dom.js';
import { words } from '../words/many.js';

// Answers with as many votes as the leader; more than one is a tie.
export const leaders = ({ tally = [] }) => tally.filter(({ votes }) => votes === tally[0]?.votes);

// What the vote came to, or how it stands while it `isOpen`.
export const standing = (report, isOpen) => {
  const { n, n_finished: finished = 0, tally = [] } = report;
  const first = leaders(report);
  if (isOpen) {
    return finished ? words.standing.running(finished, n, tally[0]?.answer ?? null, tally[0]?.votes ?? 0) : words.standing.begins(n);
  }
  if (!report.over) return words.standing.broken(finished, n);
  if (report.choice === null || report.choice === undefined) return words.standing.stopped(finished, n);
  if (!tally.length) return words.standing.silent(n);
  return first.length > 1
    ? words.standing.tie(first.map(({ answer }) => answer), first[0].votes)
    : words.standing.won(tally[0].answer, tally[0].votes, n);
};

// What else is to be said of a vote that is over: who stood against the majority, and that not all had to end.
const remarks = ({ tally = [], n_stopped: stopped = 0 }, first) => {
  const rest = tally.slice(first).map(({ answer }) => answer);
  return [rest.length ? words.minority(rest) : '', stopped ? words.standing.early(stopped) : ''].filter(Boolean).join(' ');
};

export class Tally {
  // onShow(index): the reader wants to see that thought.
  constructor(onShow) {
    this.onShow = onShow;
    this.sentence = make('p', { class: 'standing' });
    this.bars = make('ol', { class: 'bars', 'aria-label': words.tally.label });
    this.remarks = make('p', { class: 'remarks soft' });
    this.node = make('div', { class: 'tally' }, this.sentence, this.bars, this.remarks);
  }

  update(report, isOpen) {
    const { tally = [], n } = report;
    this.sentence.textContent = standing(report, isOpen);
    const first = leaders(report).length;
    const silent = this.silent(report);
    const focused = document.activeElement?.dataset?.voter;
    this.bars.replaceChildren(...tally.map((option, index) => this.bar(option, n, index < first)),
      ...(silent.length && tally.length ? [this.bar({ answer: null, votes: silent.length, choices: silent }, n, false)] : []));
    if (focused !== undefined) this.bars.querySelector(`[data-voter="${focused}"]`)?.focus();
    this.remarks.textContent = isOpen ? '' : remarks(report, first);
  }

  // Thoughts that came to their end and gave no answer.
  silent({ replies = [], answers = {} }) {
    return replies.flatMap((id, index) => (id in answers && answers[id] === null ? [index] : []));
  }

  bar({ answer, votes, choices }, n, leads) {
    const voters = choices.map((index) => button(String(index + 1), () => this.onShow(index),
      { class: 'voter', 'data-voter': index, 'aria-label': words.tally.show(index + 1) }));
    const length = make('span');
    length.style.inlineSize = `${(100 * votes) / n}%`;
    return make('li', { class: answer === null ? 'none' : leads ? 'leads' : '' },
      make('span', { class: 'answered' }, answer ?? words.tally.none),
      make('span', { class: 'bar', 'aria-hidden': 'true' }, length),
      make('span', { class: 'share' }, words.tally.share(votes, n)),
      make('span', { class: 'voters' }, make('span', { class: 'unseen' }, words.tally.voters), ...voters));
  }
}
