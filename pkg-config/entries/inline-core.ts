import { decodeBase64 } from './base64.js';
import * as glue from './core/cpu.js';
import type { CoreFiles } from './core.js';
import { cpuCore } from './simd.js';

/** The CPU core as base64 text in a script of its own, so that no file is read and no permission is needed. */
export const INLINE_CPU: CoreFiles = {
  name: 'the CPU core',
  glue: () => glue,
  async wasm() {
    const { base64 } = await (cpuCore() === 'relaxed' ? import('./core/relaxed.b64.js') : import('./core/simd.b64.js'));
    return decodeBase64(base64);
  },
};
