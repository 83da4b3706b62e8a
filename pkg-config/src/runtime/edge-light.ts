import * as glue from '#core/cpu.js';
import simd from '#core/simd.wasm?module';
import type { Cores } from '../core/backend.js';
import { Core } from '../core/core.js';

/** The Edge Runtime of Next.js and Vercel: as in Workers, with that bundler's own import form. */
export const cores: Cores = {
  runtime: 'edge-light',
  cpu: /* @__PURE__ */ new Core({ name: 'core/simd.wasm', glue: () => glue, wasm: () => simd }),
};
