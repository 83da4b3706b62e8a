import type { GivenGpu } from '../core/adapter.js';
import type { CoreFiles } from '../core/core.js';
import { builtin } from './threads.js';

// Names of imports are variables, so that bundlers leave them to the runtime.
/** The package that has WebGPU for Node. */
const DAWN = 'webgpu';
/** The script that knows the files of the WebGPU core. By the package's name it is found from a bundle too, where the package is installed. */
const WEBGPU_SCRIPT = 'pilotlight/webgpu';

let dawn: Promise<GivenGpu | string> | undefined;

/**
 * Returns the GPU of this process, or a clause that says why there is none. Where the runtime has none, as Node, it is that of the package `webgpu`, which
 * is looked for only if the program has asked for a GPU.
 */
export async function gpuOfProcess(isAsked: boolean): Promise<GivenGpu | string> {
  const { navigator } = globalThis as { navigator?: { gpu?: GivenGpu['gpu'] } };
  if (!files()) return 'this entry of the package carries no WebGPU code';
  if (navigator?.gpu) return { gpu: navigator.gpu, classes: globalThis as never };
  if (!isAsked) return 'WebGPU does not exist here (no navigator.gpu)';
  dawn ??= openDawn();
  return dawn;
}

async function openDawn(): Promise<GivenGpu | string> {
  try {
    const { create, globals } = await import(/* webpackIgnore: true */ /* @vite-ignore */ DAWN);
    return { gpu: create([]), classes: globals };
  } catch (error) {
    dawn = undefined;
    const { code, message } = Object(error);
    const isMissing = /MODULE_NOT_FOUND/.test(code) || /Cannot find (package|module)/.test(message);
    return isMissing
      ? 'this runtime has no WebGPU of its own, and the package webgpu, which has it for Node, is not installed (npm install webgpu)'
      : `the package webgpu could not be loaded (${message})`;
  }
}

interface Files {
  readFile(address: URL): Promise<Uint8Array<ArrayBuffer>>;
}

const files = (): Files | undefined => builtin('node:fs/promises') as Files | undefined;

/** The WebGPU core, which is in files: it is too large for text in a script, and few programs need it. */
export const webgpuFiles: CoreFiles = {
  name: 'core/webgpu.wasm',
  glue: async () => (await webgpuScript()).glue(),
  wasm: async () => (files() as Files).readFile((await webgpuScript()).wasm),
};

const webgpuScript = (): Promise<typeof import('../webgpu.js')> =>
  import(/* webpackIgnore: true */ /* @vite-ignore */ WEBGPU_SCRIPT);
