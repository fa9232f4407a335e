// The tabs are Gradio's; a view shows another by name.
import { on } from './bus.js';

on('show-room', ({ name }) => document.querySelector(`#room-${name}-button`)?.click());
