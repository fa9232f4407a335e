// Under which heading a conversation stands: pinned first, then by the day it was last used.

const DAY_MS = 24 * 3600 * 1000;

// [[name, [conversation]]] in order, without empty ones. Conversations come newest first.
export const groupsOf = (conversations, now) => {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  // Days are not all 24 hours long; half a day more is on the right one.
  const yesterday = new Date(midnight - DAY_MS / 2).setHours(0, 0, 0, 0);
  const week = new Date(midnight - 6.5 * DAY_MS).setHours(0, 0, 0, 0);
  const groups = new Map(['pinned', 'today', 'yesterday', 'week', 'older'].map((name) => [name, []]));
  for (const conversation of conversations) {
    const used = conversation.updated * 1000;
    const name = conversation.pinned ? 'pinned' : used >= midnight ? 'today' : used >= yesterday ? 'yesterday' : used >= week ? 'week' : 'older';
    groups.get(name).push(conversation);
  }
  return [...groups].filter(([, members]) => members.length);
};
