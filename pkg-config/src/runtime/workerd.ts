import * as glue from '#core/cpu.js';
import decoders from '#core/images.wasm';
import relaxed from '#core/relaxed.wasm';
import type { Cores } from '../core/backend.js';
import { Core } from '../core/core.js';
import { ImageCode } from '../core/image-code.js';
import type { Spawner } from './spawn.js';

/** The core for Cloudflare Workers, whose code must be part of the Worker's upload, already compiled. workerd has relaxed SIMD. */
export const cores: Cores = {
  runtime: 'workerd',
  cpu: /* @__PURE__ */ new Core({ name: 'core/relaxed.wasm', glue: () => glue, wasm: () => relaxed }),
};

/** The decoders of images, which are part of the upload for the same reason. */
export const images = /* @__PURE__ */ new ImageCode({ name: 'core/images.wasm', wasm: () => decoders });

/** Calls run on the thread that makes them. */
export const spawner: Spawner | undefined = undefined;
