// What is typed and not yet asked, kept across reloads, per conversation.
const KEY = 'r1chat.draft.';

export const draftOf = (id) => localStorage.getItem(KEY + (id ?? 'new')) ?? '';

export const keepDraft = (id, text) => {
  if (text) localStorage.setItem(KEY + (id ?? 'new'), text);
  else localStorage.removeItem(KEY + (id ?? 'new'));
};
