import * as cpu from './core/cpu.js';
import { coresOf, initOn } from './cores.js';
import { diagnoseOn } from './diagnose.js';
import { digitGeneratorOn } from './digit-generator.js';
import { imageTextEmbedderOn } from './image-text-embedder.js';
import { modelsOn } from './models.js';
import { cpuCore } from './simd.js';
import { textEmbedderOn } from './text-embedder.js';
import { vectorIndexOn } from './vector-index.js';

export { PilotlightError } from './error.js';

/** Browsers, and any runtime that can fetch what lies beside this file. Bundlers find the files by these `new URL` forms. */
const cores = /* @__PURE__ */ coresOf({
  cpu: {
    name: 'the CPU core',
    glue: () => cpu,
    wasm: () =>
      fetch(
        cpuCore() === 'relaxed'
          ? new URL('./core/relaxed.wasm', import.meta.url)
          : new URL('./core/simd.wasm', import.meta.url),
      ),
  },
  webgpu: {
    name: 'core/webgpu.wasm',
    glue: () => import('./core/webgpu.js'),
    wasm: () => fetch(new URL('./core/webgpu.wasm', import.meta.url)),
  },
});

// Each by itself, so that a bundler drops what is not used, with the weights behind it.
export const TextEmbedder = /* @__PURE__ */ textEmbedderOn(cores);
export const ImageTextEmbedder = /* @__PURE__ */ imageTextEmbedderOn(cores);
export const VectorIndex = /* @__PURE__ */ vectorIndexOn(cores);
export const DigitGenerator = /* @__PURE__ */ digitGeneratorOn(cores);
export const models = /* @__PURE__ */ modelsOn(cores);
export const init = /* @__PURE__ */ initOn(cores);
export const diagnose = /* @__PURE__ */ diagnoseOn('web', cores);
