import * as glue from './core/cpu.js';
import relaxed from './core/relaxed.wasm';
import { coresOf, initOn } from './cores.js';
import { diagnoseOn } from './diagnose.js';
import { digitGeneratorOn } from './digit-generator.js';
import { imageTextEmbedderOn } from './image-text-embedder.js';
import { modelsOn } from './models.js';
import { textEmbedderOn } from './text-embedder.js';
import { vectorIndexOn } from './vector-index.js';

export { PilotlightError } from './error.js';

/** Cloudflare Workers: code may come only from the Worker's own upload, compiled there. workerd has relaxed SIMD. */
const cores = /* @__PURE__ */ coresOf({ cpu: { name: 'core/relaxed.wasm', glue: () => glue, wasm: () => relaxed } });

// Each by itself, so that a bundler drops what is not used, with the weights behind it.
export const TextEmbedder = /* @__PURE__ */ textEmbedderOn(cores);
export const ImageTextEmbedder = /* @__PURE__ */ imageTextEmbedderOn(cores);
export const VectorIndex = /* @__PURE__ */ vectorIndexOn(cores);
export const DigitGenerator = /* @__PURE__ */ digitGeneratorOn(cores);
export const models = /* @__PURE__ */ modelsOn(cores);
export const init = /* @__PURE__ */ initOn(cores);
export const diagnose = /* @__PURE__ */ diagnoseOn('workerd', cores);
