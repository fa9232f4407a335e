// The page's own routes: JSON in and out, and one stream of events per conversation that is looked at.

import { words } from '../words/shared.js';

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// What is only read, or only begun, is answered by then, also by a busy machine; a network that went away may never say so.
export const SOON_MS = 60_000;

// The parsed body; null for an empty one. A file is sent as it is. Rejects with ApiError, whose message is meant
// for the person. `limit`: after so many ms nobody answers any more.
export const call = async (method, path, body, limit) => {
  const sent = body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: body instanceof Blob ? body : JSON.stringify(body) };
  let response;
  let text;
  try {
    response = await fetch(path, { method, ...sent, signal: limit && AbortSignal.timeout(limit) });
    text = await response.text();
  } catch {
    throw new ApiError(0, 'unreachable', words.unreachable);
  }
  let parsed = null;
  try { parsed = text ? JSON.parse(text) : null; } catch { /* told below */ }
  if (!response.ok) {
    const { code = null, message = words.answered(response.status) } = parsed?.error ?? {};
    throw new ApiError(response.status, code, message);
  }
  return parsed;
};

export const get = (path) => call('GET', path, undefined, SOON_MS);
export const post = (path, body = {}, limit) => call('POST', path, body, limit);
export const patch = (path, body) => call('PATCH', path, body);
export const put = (path, body) => call('PUT', path, body);
export const remove = (path) => call('DELETE', path);

// Events of `path` for as long as the tab can be seen: browsers allow few connections at once, and a hidden
// tab must not hold one. `onEvent` gets parsed objects, `onLost` is called while nothing comes through.
// Returns a function that ends it.
export const listen = (path, onEvent, onLost = () => {}) => {
  let source = null;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(path);
    source.onmessage = ({ data }) => onEvent(JSON.parse(data));
    source.onerror = () => onLost(source?.readyState === EventSource.CLOSED);
  };
  const close = () => { source?.close(); source = null; };
  const look = () => (document.hidden ? close() : open());
  document.addEventListener('visibilitychange', look);
  open();
  return () => { document.removeEventListener('visibilitychange', look); close(); };
};
