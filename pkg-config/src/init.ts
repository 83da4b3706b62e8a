import { cores, images as imageCode } from '#runtime';
import type * as Api from '../types/index.js';
import type { WasmSource } from './core/glue.js';
import { toPilotlightError } from './error.js';

export const init: typeof Api.init = async ({ wasm, images } = {}) => {
  try {
    if (images !== undefined) imageCode.use(() => sourceOf(images));
    await cores.cpu.instance(wasm === undefined ? undefined : sourceOf(wasm));
  } catch (error) {
    throw toPilotlightError(error);
  }
};

function sourceOf(wasm: NonNullable<Api.InitOptions['wasm']>): WasmSource | Promise<WasmSource> {
  return typeof wasm === 'string' || wasm instanceof URL ? fetch(wasm) : wasm;
}
