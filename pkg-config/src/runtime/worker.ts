import type { Cores } from '../core/backend.js';
import type { Glue } from '../core/glue.js';
import { SharedCore } from '../core/shared-core.js';
import { fetchedCores } from './fetched.js';
import type { Spawner } from './spawn.js';

/** The addresses of the glues that are not part of this script. */
export interface Glues {
  webgpu: string;
  threads: string;
}

let glues: Glues = { webgpu: '', threads: '' };

/** Sets those addresses, which the page knows: Vite up to 7 builds no worker that would be more than one script. */
export const setGlues = (addresses: Glues): void => {
  glues = addresses;
};

const imported = (address: string): Promise<Glue> => import(/* webpackIgnore: true */ /* @vite-ignore */ address);

export const cores: Cores = {
  ...fetchedCores(() => imported(glues.webgpu)),
  threads: new SharedCore(
    () => imported(glues.threads),
    () => fetch(new URL('./core/threads.wasm', import.meta.url)),
  ),
};

/** A worker starts no further ones: some bundlers never end when a script leads to itself. */
export const spawner: Spawner | undefined = undefined;
