// What two models made of one prompt, in words: whether their answers agree, and how much longer one thinks.
import { words } from '../words/many.js';

// From here on the lengths are worth a word.
const UNEQUAL = 1.15;

const ratio = (longer, shorter) => {
  const times = longer / shorter;
  return times < 10 ? times.toFixed(1) : String(Math.round(times));
};

const length = (replies) => {
  const [short, long] = [...replies].sort((one, other) => one.reasoning_tokens - other.reasoning_tokens);
  if (!short.reasoning_tokens) return '';
  if (long.reasoning_tokens < UNEQUAL * short.reasoning_tokens) return words.compared.same;
  return words.compared.length(long.model, short.model, ratio(long.reasoning_tokens, short.reasoning_tokens));
};

// `isOpen`: not all is told yet.
export const compared = ({ report: { answers = {}, agree } }, replies, isOpen) => {
  if (isOpen) return words.compared.running;
  const unfinished = replies.filter(({ id }) => !(id in answers));
  if (unfinished.length) return words.compared.failed(unfinished.map(({ model }) => model));
  const silent = replies.filter(({ id }) => answers[id] === null);
  const said = silent.length ? words.compared.silent(silent.map(({ model }) => model))
    : agree ? words.compared.agree(answers[replies[0].id])
      : words.compared.differ(...replies.map(({ id }) => answers[id]));
  return `${said} ${length(replies)}`.trim();
};
