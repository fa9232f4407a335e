// What the list of conversations, the settings and the sheet of keys say.

import { count, plural, tokens } from './quantities.js';

const conversations = (n) => plural(n, 'conversation', 'conversations');
const short = (title) => (title.length > 40 ? `${title.slice(0, 39).trimEnd()}…` : title);
const megabytes = (size) => `${(size / 2 ** 20).toFixed(0)} MB`;

export const words = {
  newChat: 'New chat',
  close: 'Close the list',
  untitled: 'New chat',
  groups: { pinned: 'Pinned', today: 'Today', yesterday: 'Yesterday', week: 'Last week', older: 'Older' },
  empty: 'What you ask is kept here, on this machine.',
  live: 'being written',
  collects: 'collects for the distil set',

  row: {
    more: (title) => `More for ${title}`,
    rename: 'Rename', title: 'Title', pin: 'Pin', unpin: 'Unpin', remove: 'Delete',
    collect: 'Collect for the distil set',
    collectWhy: 'Its replies can then be starred and learned from.',
  },

  search: {
    label: 'Search', placeholder: 'Search (Ctrl+K)', where: 'Search in',
    answers: 'Answers', thoughts: 'Thoughts',
    found: (n, most) => (n >= most ? `The newest ${most}` : n ? `${count(n)} found` : 'Nothing found'),
    more: 'Show more', moreHere: (n) => `${count(n)} more in this chat`,
    roles: { user: 'Question', assistant: 'Answer', title: 'Title' },
    thought: 'Thought',
  },

  deleted: (title) => `Deleted “${short(title)}”.`,
  deletedMany: (n) => `Deleted ${conversations(n)}.`,
  undo: 'Undo',
  dismiss: 'Dismiss',
  gone: {
    name: 'Recently deleted', kept: 'Kept for a week.', none: 'Nothing was deleted in the last week.',
    restore: 'Restore', restoreNamed: (title) => `Restore ${title}`,
  },

  transfer: {
    export: 'Export', exportAll: 'Export all', import: 'Import', importLabel: 'Files to import',
    thoughts: 'With thoughts',
    formats: {
      md: ['Markdown', 'to read, thoughts folded'],
      json: ['JSON', 'whole, to import again'],
      sharegpt: ['ShareGPT', 'JSONL to train on'],
      messages: ['Messages', 'JSONL with reasoning_content'],
    },
    drop: 'Drop to import',
    reading: (name) => `Reading ${name} …`,
    imported: (n) => `${conversations(n)} imported.`,
    nothing: 'There was nothing to import in it.',
    failed: (name, why) => `${name}: ${why}`,
    large: (size, most) => `it has ${megabytes(size)}, and ${megabytes(most)} can be imported at once. Import it in parts; split -C 200M makes them of JSONL.`,
  },

  settings: {
    title: 'Settings of this chat', titleNew: 'Settings of new chats',
    preset: 'Preset', changed: (name) => `${name}, changed`,
    model: 'Model', anyModel: (name) => `The server’s own (${name})`, noModel: 'The server’s own',
    gone: (name) => `${name} (not here)`,
    system: 'System prompt', systemPlaceholder: 'None',
    systemWhy: 'R1 was trained without one, and DeepSeek advises to put all instructions into the question. Use it for other models.',
    sampling: 'Sampling',
    fields: {
      temperature: ['Temperature', 'How freely words are drawn.'],
      top_p: ['Top-p', 'The likeliest words up to this share; 1: all.'],
      top_k: ['Top-k', 'So many of the likeliest words; 0: all.'],
      min_p: ['Min-p', 'Drops words less likely than this share of the likeliest.'],
      repetition_penalty: ['Repetition penalty', '1: none.'],
      seed: ['Seed', 'The same seed draws the same again.'],
      max_tokens: ['Longest reply', 'Tokens of thought and answer.'],
    },
    byChance: 'by chance', byContext: 'as fits',
    range: (low, high) => (high >= 2 ** 31 - 1 ? `At least ${low}.` : `From ${low} to ${high}.`),
    rangeWhole: (low, high) => (high >= 2 ** 31 - 1 ? `A whole number, at least ${low}.` : `A whole number from ${low} to ${high}.`),
    noNumber: 'A number is needed, or nothing.',
    thoughts: 'Earlier thoughts',
    keep: 'Send earlier thoughts along with each question',
    keepNone: 'Off: R1 is made to read earlier answers alone.',
    keepSaved: (n) => `Off: ${tokens(n)} of earlier thoughts are left out of this chat’s next question.`,
    keepCost: (n) => `On: ${n ? `${tokens(n)} of ` : ''}earlier thoughts go with the next question.`,
    context: 'Context',
    used: (used, size) => `${count(used)} of ${tokens(size)} used, ${Math.round((100 * used) / size)} %`,
    usedOnly: (used) => `${tokens(used)} used`,
    sizeOnly: (size) => `${tokens(size)}, none used yet`,
    sizeUnknown: 'Known once the model is loaded.',
    trace: 'Thoughts are shown', traceWhy: 'In this browser, for all chats.',
    traces: { closed: 'Closed', peek: 'Peek', open: 'Open' },
    forNew: 'Also for new chats',
    save: 'Save', cancel: 'Cancel',
  },

  shortcuts: {
    title: 'Keyboard shortcuts', close: 'Close',
    groups: [
      ['Asking', [
        [['Enter'], 'Ask'],
        [['Shift', 'Enter'], 'New line'],
        [['Ctrl', '.'], 'Answer now: end the thought'],
        [['Esc'], 'Close what is open, or stop the reply'],
      ]],
      ['Conversations', [
        [['Ctrl', 'Shift', 'O'], 'New chat'],
        [['Ctrl', 'K'], 'Search'],
        [['Ctrl', 'E'], 'Export this chat'],
        [['↑ ↓'], 'Through the list'],
        [['F2'], 'Rename, in the list'],
        [['Del'], 'Delete, in the list'],
      ]],
      ['In a thought that is shown whole', [
        [['C'], 'The next check'],
        [['Shift', 'C'], 'The check before'],
        [['↑ ↓'], 'Through the sentences'],
        [['Enter'], 'What can be done from a sentence'],
      ]],
      ['Help', [
        [['?'], 'This sheet, also Ctrl+/'],
      ]],
    ],
    mac: 'On a Mac, Cmd stands for Ctrl.',
  },
};
