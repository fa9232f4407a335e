// Has the tab of the runs, which may not have begun yet, offer a run.
import { emit } from '../common/bus.js';

let wanted = null;

export const beginRun = (traces) => {
  wanted = traces;
  emit('show-room', { name: 'runs' });
  emit('begin-run');
};

// The traces that a run is to be offered with, once.
export const takeWanted = () => {
  const traces = wanted;
  wanted = null;
  return traces;
};
