import type { RemoteInstance } from '../worker/remote-instance.js';

/** Starts a worker with the script `worker.js`. Returns the reason where none could be started, and `undefined` where none is wanted. */
export type Spawn = () => RemoteInstance | string | undefined;
