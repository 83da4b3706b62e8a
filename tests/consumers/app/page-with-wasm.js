// As page.js, with the address that a bundler gives to an imported file.
import wasm from 'pilotlight/simd.wasm';
import { embed } from './embed.js';

const host = new URLSearchParams(location.search).get('host');
globalThis.answer = embed(host, wasm).catch(({ code, message }) => ({ code, message }));
