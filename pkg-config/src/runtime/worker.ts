import type { Spawn } from './spawn.js';

export { cores } from './fetched.js';

/** A worker starts no further ones: some bundlers never end when a script leads to itself. */
export const spawn: Spawn | undefined = undefined;
