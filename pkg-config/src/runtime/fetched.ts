import * as cpu from '#core/cpu.js';
import type { Cores } from '../core/backend.js';
import { Core } from '../core/core.js';
import type { Glue } from '../core/glue.js';
import { cpuCore } from '../core/simd.js';

/** Returns the advice of an error message for a file that a bundler did not copy; `option` is the option of `init` that takes its address. */
export const notCopied = (option: 'wasm' | 'images'): string =>
  `Bundlers that leave \`new URL\` alone do not copy the file: give its address to init({ ${option} }), or import 'pilotlight/inline' (README, "Bundlers")`;

/** The cores of a page or of its workers: files beside the script. Bundlers find the files by these `new URL` forms. */
export const fetchedCores = (webgpuGlue: () => Promise<Glue>): Cores => ({
  runtime: 'web',
  cpu: new Core({
    name: 'the CPU core',
    glue: () => cpu,
    missing: notCopied('wasm'),
    wasm: () =>
      fetch(
        cpuCore() === 'relaxed'
          ? new URL('./core/relaxed.wasm', import.meta.url)
          : new URL('./core/simd.wasm', import.meta.url),
      ),
  }),
  webgpu: new Core({
    name: 'core/webgpu.wasm',
    glue: webgpuGlue,
    wasm: () => fetch(new URL('./core/webgpu.wasm', import.meta.url)),
  }),
});
