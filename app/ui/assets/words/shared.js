// What every room may have to say.
export const words = {
  unreachable: 'The server does not answer. Is it still running?',
  answered: (status) => `The server answered ${status}.`,
};
