/**
 * The WebAssembly of the package, from its own files. The entry for bundlers has the same in base64, which takes a second and 100 MB to
 * decode.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { init } from 'pilotlight';

/** Compiles the faster of the two builds that this runtime can run, ahead of the first load. */
export async function compileCore(): Promise<void> {
  for (const build of ['relaxed', 'simd'] as const) {
    const path = fileURLToPath(import.meta.resolve(`pilotlight/${build}.wasm`));
    const wasm = await WebAssembly.compile(await readFile(path)).catch((error: unknown) => {
      // A runtime without relaxed SIMD.
      if (build === 'simd') throw error;
    });
    if (wasm) return init({ wasm });
  }
}
