import type { GivenGpu } from '../core/adapter.js';
import type { CoreFiles } from '../core/core.js';
import type { Glue } from '../core/glue.js';
import { builtin } from './threads.js';

/** The package that has WebGPU for Node. Its name is a variable, so that bundlers leave the import alone. */
const DAWN = 'webgpu';

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

/** The two files of the WebGPU core, beside this script. They are too large for text in it, and few programs need them. */
export const webgpuFiles: CoreFiles = {
  name: 'core/webgpu.wasm',
  glue: () => import(/* webpackIgnore: true */ /* @vite-ignore */ beside('webgpu.js')) as Promise<Glue>,
  wasm: () => (files() as Files).readFile(new URL(beside('webgpu.wasm'))),
};

/** The address of a file of the package. It is not made by `new URL`, for which bundlers would copy the file. */
const beside = (file: string): string => import.meta.url.replace(/[^/]*$/, `core/${file}`);

interface Files {
  readFile(address: URL): Promise<Uint8Array<ArrayBuffer>>;
}

const files = (): Files | undefined => builtin('node:fs/promises') as Files | undefined;
