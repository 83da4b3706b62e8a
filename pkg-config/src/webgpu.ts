import type { Glue } from './core/glue.js';

/** Imports the glue of the WebGPU core. */
export const glue = (): Promise<Glue> => import('#core/webgpu.js');

/** The address of that core. This script is one of its own, so that no other has to know where it lies: a bundle may be a classic script, which cannot. */
export const wasm: URL = /* @__PURE__ */ new URL('./core/webgpu.wasm', import.meta.url);
