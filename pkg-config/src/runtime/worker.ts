import type { Glue } from '../core/glue.js';
import { fetchedCores } from './fetched.js';
import type { Spawner } from './spawn.js';

/** The address of the glue of the WebGPU core. */
let webgpuGlue = '';

/** Sets that address, which the page knows: Vite up to 7 builds no worker that would be more than one script. */
export const setWebgpuGlue = (address: string): void => {
  webgpuGlue = address;
};

export const cores = fetchedCores(
  () => import(/* webpackIgnore: true */ /* @vite-ignore */ webgpuGlue) as Promise<Glue>,
);

/** A worker starts no further ones: some bundlers never end when a script leads to itself. */
export const spawner: Spawner | undefined = undefined;
