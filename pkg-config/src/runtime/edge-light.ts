import * as glue from '#core/cpu.js';
import decoders from '#core/images.wasm?module';
import simd from '#core/simd.wasm?module';
import type { Cores } from '../core/backend.js';
import { Core } from '../core/core.js';
import { ImageCode } from '../core/image-code.js';
import type { Spawner } from './spawn.js';

/** The core for the Edge Runtime of Next.js and Vercel. Code is imported as in Workers, with that bundler's own form of import. */
export const cores: Cores = {
  runtime: 'edge-light',
  cpu: /* @__PURE__ */ new Core({ name: 'core/simd.wasm', glue: () => glue, wasm: () => simd }),
};

/** The decoders of images. */
export const images = /* @__PURE__ */ new ImageCode({ name: 'core/images.wasm', wasm: () => decoders });

/** Calls run on the thread that makes them. */
export const spawner: Spawner | undefined = undefined;
