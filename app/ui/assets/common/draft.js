// What is typed and not yet sent, kept across reloads: a question by its conversation (null: a new one), what changes a
// message or a star by that.
import { keep, kept } from './kept.js';

const nameOf = (id) => `r1chat.draft.${id ?? 'new'}`;

export const draftOf = (id) => kept(nameOf(id)) ?? '';

export const keepDraft = (id, text) => keep(nameOf(id), text || null);
