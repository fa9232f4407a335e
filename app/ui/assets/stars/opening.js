// Shows a star in the tab of the set, which may not have begun yet.
import { emit } from '../common/bus.js';

let wanted = null;

export const openStar = (id) => {
  wanted = id;
  emit('show-room', { name: 'stars' });
  emit('open-star', { id });
};

// The star that is to be shown, once.
export const takeWanted = () => {
  const id = wanted;
  wanted = null;
  return id;
};
