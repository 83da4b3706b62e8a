import type * as Api from '../types/index.js';
import { Core, type CoreFiles } from './core.js';
import { diagnose } from './diagnose.js';
import { toPilotlightError } from './error.js';
import type { WasmSource } from './glue.js';
import { modelsOn } from './models.js';
import { textEmbedderOn } from './text-embedder.js';

/** What differs between runtimes: where the cores come from. */
export interface Runtime {
  /** Name of the entry, for `diagnose()`. */
  entry: string;
  cpu: CoreFiles;
  webgpu?: CoreFiles;
}

type PublicApi = Pick<typeof Api, 'TextEmbedder' | 'models' | 'init' | 'diagnose'>;

/** The public API over one runtime's cores. Pure, so that a bundler may drop what is not used. */
export function pilotlightOn({ entry, cpu, webgpu }: Runtime): PublicApi {
  const cores = { cpu: new Core(cpu), ...(webgpu && { webgpu: new Core(webgpu) }) };
  return {
    TextEmbedder: textEmbedderOn(cores),
    models: modelsOn(cores),
    async init({ wasm }: Api.InitOptions = {}) {
      try {
        await cores.cpu.instance(wasm === undefined ? undefined : sourceOf(wasm));
      } catch (error) {
        throw toPilotlightError(error);
      }
    },
    diagnose: () => diagnose(entry, cores),
  };
}

function sourceOf(wasm: NonNullable<Api.InitOptions['wasm']>): WasmSource | Promise<WasmSource> {
  return typeof wasm === 'string' || wasm instanceof URL ? fetch(wasm) : wasm;
}
