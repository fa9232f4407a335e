// What was changed of a text, word by word: a list of {kind: 'same' | 'gone' | 'new', text}, or null where the texts
// are too long to compare.

const MOST = 4_000_000; // cells of the table

const pieces = (text) => text.match(/\s+|[^\s]+/g) ?? [];

export const changes = (before, after) => {
  const one = pieces(before);
  const other = pieces(after);
  let start = 0;
  while (start < one.length && start < other.length && one[start] === other[start]) start += 1;
  let end = 0;
  while (end < one.length - start && end < other.length - start && one[one.length - 1 - end] === other[other.length - 1 - end]) end += 1;
  const middle = between(one.slice(start, one.length - end), other.slice(start, other.length - end));
  if (!middle) return null;
  return joined([
    ...one.slice(0, start).map((text) => ({ kind: 'same', text })),
    ...middle,
    ...one.slice(one.length - end).map((text) => ({ kind: 'same', text })),
  ]);
};

// By the longest common subsequence.
const between = (one, other) => {
  const width = other.length + 1;
  if ((one.length + 1) * width > MOST) return null;
  const lengths = new Uint32Array((one.length + 1) * width);
  for (let i = one.length - 1; i >= 0; i -= 1) {
    for (let j = other.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = one[i] === other[j]
        ? lengths[(i + 1) * width + j + 1] + 1
        : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const found = [];
  let [i, j] = [0, 0];
  while (i < one.length && j < other.length) {
    if (one[i] === other[j]) {
      found.push({ kind: 'same', text: one[i] });
      [i, j] = [i + 1, j + 1];
    } else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) {
      found.push({ kind: 'gone', text: one[i] });
      i += 1;
    } else {
      found.push({ kind: 'new', text: other[j] });
      j += 1;
    }
  }
  found.push(...one.slice(i).map((text) => ({ kind: 'gone', text })), ...other.slice(j).map((text) => ({ kind: 'new', text })));
  return found;
};

const joined = (parts) => parts.reduce((found, part) => {
  const last = found.at(-1);
  if (last?.kind === part.kind) last.text += part.text;
  else found.push({ ...part });
  return found;
}, []);
