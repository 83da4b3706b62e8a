// Shows what came of it as `globalThis.answer`.
import { embed } from './embed.js';

const asked = new URLSearchParams(location.search);
globalThis.answer = embed(asked.get('host'), asked.get('wasm')).catch(({ code, message }) => ({ code, message }));
