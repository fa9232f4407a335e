// How every room writes numbers, times and how many there are of something.
export const count = (n) => Math.round(n).toLocaleString('en');
export const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
export const tokens = (n) => plural(n, 'token', 'tokens');

export const seconds = (value) => {
  if (value < 9.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
};

// `at` in seconds since 1970.
export const moment = (at) => new Date(at * 1000).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'short' });
