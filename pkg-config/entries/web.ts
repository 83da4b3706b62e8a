import * as cpu from './core/cpu.js';
import { pilotlightOn } from './pilotlight.js';
import { cpuCore } from './simd.js';

export { PilotlightError } from './error.js';

/** Browsers, and any runtime that can fetch what lies beside this file. Bundlers find the files by these `new URL` forms. */
export const { TextEmbedder, models, init, diagnose } = /* @__PURE__ */ pilotlightOn({
  entry: 'web',
  cpu: {
    name: 'the CPU core',
    glue: () => cpu,
    wasm: () => fetch(cpuCore() === 'relaxed' ? new URL('./core/relaxed.wasm', import.meta.url) : new URL('./core/simd.wasm', import.meta.url)),
  },
  webgpu: {
    name: 'core/webgpu.wasm',
    glue: () => import('./core/webgpu.js'),
    wasm: () => fetch(new URL('./core/webgpu.wasm', import.meta.url)),
  },
});
