import * as cpu from '#core/cpu.js';
import type { Cores } from '../core/backend.js';
import { Core } from '../core/core.js';
import { cpuCore } from '../core/simd.js';

/** The cores of pages and of their workers: files beside the script. Bundlers find the files by these `new URL` forms. */
export const cores: Cores = {
  runtime: 'web',
  cpu: /* @__PURE__ */ new Core({
    name: 'the CPU core',
    glue: () => cpu,
    missing:
      'Bundlers that leave `new URL` alone do not copy the file: give its address to init({ wasm }), or import \'pilotlight/inline\' (README, "Bundlers")',
    wasm: () =>
      fetch(
        cpuCore() === 'relaxed'
          ? new URL('./core/relaxed.wasm', import.meta.url)
          : new URL('./core/simd.wasm', import.meta.url),
      ),
  }),
  webgpu: /* @__PURE__ */ new Core({
    name: 'core/webgpu.wasm',
    glue: () => import('#core/webgpu.js'),
    wasm: () => fetch(new URL('./core/webgpu.wasm', import.meta.url)),
  }),
};
