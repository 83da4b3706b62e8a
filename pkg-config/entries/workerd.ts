import * as glue from './core/cpu.js';
import relaxed from './core/relaxed.wasm';
import { pilotlightOn } from './pilotlight.js';

export { PilotlightError } from './error.js';

/** Cloudflare Workers: code may come only from the Worker's own upload, compiled there. workerd has relaxed SIMD. */
export const { TextEmbedder, models, init, diagnose } = /* @__PURE__ */ pilotlightOn({
  entry: 'workerd',
  cpu: { name: 'core/relaxed.wasm', glue: () => glue, wasm: () => relaxed },
});
