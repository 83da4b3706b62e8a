import * as glue from './core/cpu.js';
import simd from './core/simd.wasm?module';
import { pilotlightOn } from './pilotlight.js';

export { PilotlightError } from './error.js';

/** The Edge Runtime of Next.js and Vercel: as in Workers, with that bundler's own import form. */
export const { TextEmbedder, models, init, diagnose } = /* @__PURE__ */ pilotlightOn({
  entry: 'edge-light',
  cpu: { name: 'core/simd.wasm', glue: () => glue, wasm: () => simd },
});
