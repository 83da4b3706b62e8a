import type { RemoteInstance } from '../worker/remote-instance.js';

/** Starts a worker, or returns the reason why none could be started. */
export type Spawn = () => RemoteInstance | string | Promise<RemoteInstance | string>;

/** The workers of a runtime. */
export interface Spawner {
  /** Whether models are in workers where the program says nothing about them. */
  readonly byItself: boolean;
  /** The places that have workers, for messages. */
  readonly places: string;
  /** Whether this thread is one of these. */
  isHere(): boolean;
  /** The code of the CPU core that workers get; `undefined` where they fetch it themselves. */
  code(): Promise<WebAssembly.Module | undefined>;
  readonly start: Spawn;
}
