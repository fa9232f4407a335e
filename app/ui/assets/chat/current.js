// Which conversation is shown: read by other rooms, written by session.js alone.
import { emit, on } from '../common/bus.js';

const shown = { conversation: null, path: [], groups: {} };

// {conversation | null, path: [message], groups: {id: group}}
export const current = () => shown;

export const show = (conversation, path, groups) => {
  const isOther = conversation?.id !== shown.conversation?.id;
  Object.assign(shown, { conversation, path, groups });
  if (isOther) emit('conversation-shown', { id: conversation?.id ?? null });
};

export { on };
