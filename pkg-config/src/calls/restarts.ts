/** The restarts of models after failures of the GPU, for bug reports. */
const restarts = { count: 0, last: '' };

/** Counts the restarts of a model; `reason` says what it runs on now, and why. */
export function noteRestarts(count: number, reason: string): void {
  if (count === 0) return;
  restarts.count += count;
  restarts.last = reason;
}

/** The number of restarts in this thread and the reason of the last one; `undefined` where there was none. */
export const restartsSoFar = (): { count: number; last: string } | undefined =>
  restarts.count > 0 ? { ...restarts } : undefined;
