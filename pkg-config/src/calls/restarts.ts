/** The restarts of models after failures of the GPU, for bug reports. */
const restarts = { count: 0, last: '' };

/** Counts a restart, of which `reason` says what the model runs on now, and why. */
export function noteRestart(reason: string): void {
  restarts.count += 1;
  restarts.last = reason;
}

/** The number of restarts in this thread and the reason of the last one; `undefined` where there was none. */
export const restartsSoFar = (): { count: number; last: string } | undefined =>
  restarts.count > 0 ? { ...restarts } : undefined;
