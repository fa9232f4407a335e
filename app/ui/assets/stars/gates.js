// The gates of a star as a list of sentences.
import { make } from '../common/dom.js';
import { words } from '../words/stars.js';

const SIGNS = { passed: '✓', open: '?', failed: '✕' };

export const gateList = (gates, label) => make('ul', { class: 'gates', 'aria-label': label }, ...gates.map(gateLine));

const gateLine = (gate) => make('li', { 'data-state': gate.state },
  make('span', { class: 'sign', 'aria-hidden': 'true' }, SIGNS[gate.state]),
  make('span', {}, make('span', { class: 'unseen' }, `${words.gateStates[gate.state]}: `), words.sentence(gate)));

// Those that keep it from being accepted; all where none does.
export const telling = (gates) => {
  const against = gates.filter(({ state }) => state !== 'passed');
  return against.length ? against : gates;
};
