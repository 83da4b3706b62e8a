import type { LoadOptions } from '../../types/index.js';
import { checkCount } from '../calls/check.js';
import { isReadOnce } from '../inputs/byte-sources.js';

/** More workers than this gain nothing: they share the bus to the memory. */
const MOST = 64;

/** The device, or the part of it that workers may take. */
export interface Device {
  cores: number;
  /** Bytes. */
  memory: number;
}

/** @throws {PilotlightError} `INVALID_INPUT` where `workers` is neither 'auto' nor a whole number from 1 to 64 */
export function checkWorkers({ workers = 'auto' }: { workers?: unknown }): void {
  checkCount('workers', workers, MOST);
}

/** Whether a program that does not choose the worker itself asks for several. */
export const asksForSeveral = ({ workers }: { workers?: unknown }): boolean =>
  workers === 'auto' || (typeof workers === 'number' && workers > 1);

/** The most workers that a model of `memoryBytes` may have, each of which holds its weights. `of` tells of the device. */
export function workersFor(options: LoadOptions, memoryBytes: number, of: () => Device): number {
  const { workers = 'auto', store, files, device } = options;
  // A source that can be read once is not there for a second worker.
  if (Object.values(files ?? {}).some(isReadOnce)) return 1;
  if (workers !== 'auto') return workers;
  // A GPU is one, and without a store each worker would fetch the model again.
  if (device === 'webgpu' || (store === false && !files)) return 1;
  const { cores, memory } = of();
  return Math.max(1, Math.min(cores, Math.floor(memory / memoryBytes), MOST));
}
