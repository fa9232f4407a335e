// Begins when the tab is shown for the first time.
import '../shared/rooms.js';
import { make } from '../shared/dom.js';

export const start = (root) => {
  root.append(make('p', {}, 'runs'));
};
