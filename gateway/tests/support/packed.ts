/** MiniLM as `pilotlight pull` packs it: made once, and kept in a folder that git ignores. */
import { existsSync } from 'node:fs';
import { cp, mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pack } from '../../src/cli/pack.ts';
import { MINILM } from './needs.ts';

const GATEWAY = join(import.meta.dirname, '../..');
export const MODEL = 'sentence-transformers/all-MiniLM-L6-v2';

let packing: Promise<string> | undefined;

/** A folder that has the packed files under `{MODEL}/resolve/main/`, so that it can be `MODEL_PATH`. */
export function packedMiniLm(): Promise<string> {
  packing ??= make();
  return packing;
}

async function make(): Promise<string> {
  // The core packs, so another build of the package may pack otherwise.
  const core = await stat(join(GATEWAY, 'node_modules/pilotlight/core/simd.wasm'));
  const root = join(GATEWAY, '.dev', `packed-${core.size}-${Math.trunc(core.mtimeMs)}`);
  const files = join(root, MODEL, 'resolve/main');
  if (existsSync(join(files, 'pilotlight-lock.json'))) return root;
  const { folder, remove } = await pack(MODEL, { from: MINILM });
  const own = `${root}-${process.pid}`;
  try {
    await mkdir(join(own, MODEL, 'resolve'), { recursive: true });
    await cp(folder, join(own, MODEL, 'resolve/main'), { recursive: true });
    // Another test file may have been first.
    await rename(own, root).catch((error) => {
      if (!existsSync(files)) throw error;
    });
  } finally {
    await Promise.all([remove(), rm(own, { recursive: true, force: true })]);
  }
  return root;
}
