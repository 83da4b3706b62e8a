import type * as Api from '../types/index.js';
import type { Cores } from './backend.js';
import { Core, type CoreFiles } from './core.js';
import { toPilotlightError } from './error.js';
import type { WasmSource } from './glue.js';

/** What differs between runtimes: where the cores come from. */
export interface Runtime {
  cpu: CoreFiles;
  webgpu?: CoreFiles;
}

/** The cores of one runtime, over which an entry makes each part of the public API by itself: a bundler drops what is not used. */
export function coresOf({ cpu, webgpu }: Runtime): Cores {
  return { cpu: new Core(cpu), ...(webgpu && { webgpu: new Core(webgpu) }) };
}

/** `init` over the cores of one runtime. */
export function initOn({ cpu }: Cores): typeof Api.init {
  return async ({ wasm } = {}) => {
    try {
      await cpu.instance(wasm === undefined ? undefined : sourceOf(wasm));
    } catch (error) {
      throw toPilotlightError(error);
    }
  };
}

function sourceOf(wasm: NonNullable<Api.InitOptions['wasm']>): WasmSource | Promise<WasmSource> {
  return typeof wasm === 'string' || wasm instanceof URL ? fetch(wasm) : wasm;
}
