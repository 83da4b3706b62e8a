import type { LoadOptions } from '../../types/index.js';
import { shown } from '../calls/check.js';
import { PilotlightError } from '../error.js';
import { isReadOnce } from '../inputs/byte-sources.js';

/** More workers than this gain nothing: they share the bus to the memory. */
const MOST = 64;

interface Device {
  hardwareConcurrency?: number;
  /** GiB, of which browsers tell 8 at most. */
  deviceMemory?: number;
}

/** @throws {PilotlightError} `INVALID_INPUT` where `workers` is neither 'auto' nor a whole number from 1 to 64 */
export function checkWorkers({ workers = 'auto' }: { workers?: unknown }): void {
  if (workers === 'auto' || (Number.isInteger(workers) && (workers as number) >= 1 && (workers as number) <= MOST))
    return;
  throw new PilotlightError(
    'INVALID_INPUT',
    `workers: expected 'auto' or a whole number from 1 to ${MOST}, got ${shown(workers)}`,
  );
}

/** The most workers that a model of `memoryBytes` may have, each of which holds its weights. */
export function workersFor({ workers = 'auto', store, files, device }: LoadOptions, memoryBytes: number): number {
  // What can be read once is not there for a second worker.
  if (Object.values(files ?? {}).some(isReadOnce)) return 1;
  if (workers !== 'auto') return workers;
  // A GPU is one, and without a store each worker would fetch the model again.
  if (device === 'webgpu' || (store === false && !files)) return 1;
  const { hardwareConcurrency = 1, deviceMemory = 4 } = (globalThis.navigator ?? {}) as Device;
  const fitting = Math.floor((deviceMemory * 2 ** 30) / 4 / memoryBytes);
  return Math.max(1, Math.min(hardwareConcurrency, fitting, MOST));
}
