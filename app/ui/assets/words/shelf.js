// What a person reads in the Models tab, the first run and the model picker.

import { plural } from './quantities.js';

const one = (number) => number.toLocaleString('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const bytes = (size) => (size >= 1e9 ? `${one(size / 1e9)} GB` : size >= 1e8 ? `${Math.round(size / 1e6)} MB` : `${one(size / 1e6)} MB`);
const context = (tokens) => (tokens % 1024 === 0 ? `${tokens / 1024}k` : `${tokens.toLocaleString('en')}`);
const pace = (rate) => (rate >= 10 ? `${Math.round(rate)}` : `${Number(rate.toPrecision(rate < 1 ? 1 : 2))}`);

const left = (seconds) => {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s left`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min left`;
  return `${one(seconds / 3600)} h left`;
};

const percent = ({ bytes_done: done, bytes_total: total }) => (total ? Math.floor((100 * done) / total) : 0);

// Tokens; R1's long thoughts take more than half of that.
const LONG_ENOUGH = 8192;

export const words = {
  bytes,
  here: 'On this machine',
  arriving: 'Downloads',
  toFetch: 'To fetch',
  toFetchWhy: 'DeepSeek-R1 and what was distilled from it. Sizes are of Q4_K_M, the usual compression; scores are the makers’ own, '
    + 'of the uncompressed models.',
  lookUpTitle: 'Any other model of the hub',
  lookUpHint: 'A name such as user/repo or user/repo:Q5_K_M, or an address copied from huggingface.co. GGUF files run on any machine.',
  lookUpLabel: 'Name or address of a model',
  lookUpPlaceholder: 'user/repo:Q4_K_M',
  lookUp: 'Look up',
  lookingUp: 'Looking …',
  loadingPage: 'Looking at this machine …',
  found: (repo, n) => `${repo} has ${n === 1 ? 'one model' : `${n} models`}:`,
  nothingFound: (repo) => `${repo} has neither a GGUF file nor a folder of safetensors, and nothing else runs here.`,

  machine: ({ cores, ram_available: free, ram_total: total, disk, read_bytes_per_s: rate }) => [
    plural(cores, 'core', 'cores'),
    `${bytes(free)} of ${bytes(total)} memory free`,
    `${bytes(disk.free)} of disk free`,
    `memory read at ${Math.round(rate / 1e9)} GB/s`,
  ],
  card: ({ description, free, total, unified }) => (unified ? `${description}, sharing that memory` : `${description}, ${bytes(free)} of ${bytes(total)} free`),
  noCard: 'no graphics card in use',
  paceRule: 'Speeds are guesses: each token reads the whole model once, and 40 to 80 % of what memory delivers is usually reached. '
    + 'Other work on the machine slows it down.',
  budget: ({ used, bytes: most }) => `Models hold ${bytes(used)} of the ${bytes(most)} that they may take.`,

  purposes: {
    'r1:1.5b': 'Quick on any machine. Sums, short riddles, school maths.',
    'r1:7b': 'The usual choice: maths and reasoning on a laptop.',
    'r1:8b': 'As r1:7b, on Llama; a little better with everyday text.',
    'r1:14b': 'Harder problems, code; wants patience without a graphics card.',
    'r1:32b': 'Close to the best of the family; for a graphics card of 24 GB, or a large memory.',
    'r1:70b': 'The largest of the family; for workstations.',
    'r1-0528:8b': 'The newer one: thinks longest, scores highest for its size.',
  },
  demoPurpose: 'Comes with r1chat and answers at once. A few million parameters: small sums and riddles, nothing more.',
  studentPurpose: 'Your own: imported, or distilled here.',
  demoMark: 'demo',
  defaultMark: 'served by default',
  scores: (scores) => Object.entries(scores).map(([test, score]) => `${test} ${score} %`).join(', '),
  parameters: (told) => `${told} parameters`,

  marks: { fits: '●', short: '◐', later: '○', never: '○' },
  verdict: ({ verdict, total, n_ctx: n, kv_type: kind, kv }) => {
    const needs = `${kv === null ? 'at least' : 'about'} ${bytes(total)}`;
    const room = n ? ` with ${context(n)} of context` : '';
    const packed = (kind && kind !== 'f16' ? ', cache in 8 bits' : '') + (n && n < LONG_ENOUGH ? '; too little for long thoughts' : '');
    return {
      fits: `fits: needs ${needs}${room}`,
      short: `fits tightly: needs ${needs}${room}${packed}`,
      later: `not now: needs ${needs}${room}; close other programs first`,
      never: `too large for this machine: needs ${needs}${room}`,
    }[verdict];
  },
  split: ({ weights, kv }) => (kv === null ? '' : `${bytes(weights)} weights, ${bytes(kv)} for the context`),
  speed: ([slow, fast]) => `about ${pace(slow)} to ${pace(fast)} tok/s`,

  states: { loaded: 'loaded', loading: 'loading …', unloaded: 'here', failed: 'failed to load' },
  loadedWith: (taken, n) => `loaded, ${bytes(taken)} in memory${n ? `, ${context(n)} of context` : ''}`,
  suggested: 'the one that is meant',
  notHere: 'not here',
  isHere: 'here',
  offlineWhy: 'not here, and HF_HUB_OFFLINE is set: nothing can be fetched. Start r1chat without it to fetch models.',
  offlineShort: 'Offline (HF_HUB_OFFLINE is set): models that are here run, others cannot be fetched.',
  diskShort: (free) => `the disk has ${bytes(free)} free, too little for it`,
  otherSizes: (n) => `${n} other sizes`,

  pulling: (pull) => `downloading ${percent(pull)} %`,
  percent,
  progress: (pull) => {
    const { state, bytes_done: done, bytes_total: total, rate, eta_s: eta } = pull;
    const share = total ? `${percent(pull)} % of ${bytes(total)}` : null;
    const told = {
      queued: 'waits for the other downloads',
      asking: 'asks the hub',
      waiting: 'somebody else fetches the same file; waits for that',
      checking: 'checks what is here already',
      stopping: 'stops; what has arrived is kept',
      done: 'here',
      stopped: done ? 'stopped; what has arrived is kept' : 'stopped',
      failed: done ? 'broke off; what has arrived is kept' : 'did not begin',
      interrupted: done ? 'the server ended meanwhile; what has arrived is kept' : 'the server ended before it began',
    }[state];
    if (state === 'fetching') return [share, rate ? `${one(rate / 1e6)} MB/s` : 'begins', rate && eta !== null ? left(eta) : null].filter(Boolean).join(', ');
    return [done && total && state !== 'done' ? share : null, told].filter(Boolean).join(', ');
  },
  leftover: ({ repo, bytes: size }) => `${bytes(size)} of ${repo} wait for their download to go on.`,

  fetch: 'Fetch',
  fetchNamed: (id, size) => `Fetch ${id}, ${bytes(size)}`,
  stop: 'Stop',
  goOn: 'Go on',
  discard: 'Delete what arrived',
  dismiss: 'Dismiss',
  load: 'Load',
  unload: 'Unload',
  remove: 'Remove …',
  chat: 'Chat with it',
  onModel: (what, id) => `${what}: ${id}`,

  removeTitle: (id) => `Remove ${id}?`,
  removeText: (size) => `Its files are deleted from the disk, which frees ${bytes(size)}. It can be fetched again.`,
  removeStudent: (size) => `Its file is deleted from the disk, which frees ${bytes(size)}. It was made here: nothing brings it back.`,
  discardTitle: (id) => `Delete what arrived of ${id}?`,
  discardText: (size) => `${bytes(size)} are deleted. Fetched again, it begins at zero.`,
  removeNow: (size) => `Delete ${bytes(size)}`,
  cancel: 'Keep it',

  arrived: (id) => `${id} is here.`,
  freed: (id, size) => `${id} is gone; ${bytes(size)} are free again.`,

  upstream: (where) => `This server passes questions on: it serves ${where}. Models are fetched, loaded and removed there.`,

  firstTitle: 'Choose a model to think with',
  firstText: 'Nothing has been fetched yet. The demo that came along answers at once, but knows only small sums and riddles.',
  firstMachine: 'This machine',
  firstDownload: 'Download',
  firstTry: 'Just try the demo',
  firstNames: { 'r1:1.5b': 'R1-Distill 1.5B', 'r1:7b': 'R1-Distill 7B', 'r1:14b': 'R1-Distill 14B' },

  picker: (id) => `Model: ${id}`,
  pickerLoaded: 'Loaded',
  pickerHere: 'On this machine',
  pickerAway: 'Not here',
  pickerMore: 'More models …',
  pickerDefault: 'default model',
  pickerGone: 'is not here any more',
};
