import { cores, spawn } from '#runtime';
import type { BackendReport, LoadOptions } from '../../types/index.js';
import { aborted, signalOf } from '../calls/abort.js';
import { shown } from '../calls/check.js';
import { checkListener } from '../calls/load.js';
import { chooseBackend } from '../core/backend.js';
import type { Instance } from '../core/instance.js';
import { PilotlightError, toPilotlightError } from '../error.js';
import { checkWorkers } from './workers.js';

/** The core that a model is going to run in, on this thread or in a worker, and the report about the choice. */
export interface Place {
  instance: Instance;
  report: BackendReport;
}

/**
 * Chooses where a model runs: in a worker beside the page where `options.worker` allows one and one can be started, else on this thread.
 * A worker that was started, but got no model, is to be ended by `abandon`.
 */
export async function choosePlace(options: LoadOptions): Promise<Place> {
  const { worker = 'auto', workers } = options as { worker?: unknown; workers?: unknown };
  if (worker !== 'auto' && typeof worker !== 'boolean')
    throw new PilotlightError('INVALID_INPUT', `worker: expected 'auto', true or false, got ${shown(worker)}`);
  checkWorkers(options);
  checkListener(options);
  if (worker === false) return here(options, 'worker is false');
  const remote = spawn?.();
  if (remote === undefined) {
    // Who asked for none has nobody to be told.
    const isAsked = worker === true || (typeof workers === 'number' && workers > 1);
    return here(options, isAsked ? 'workers are started in pages only' : undefined);
  }
  if (typeof remote === 'string') return here(options, remote);
  const signal = signalOf(options);
  const stop = (): void => remote.terminate();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    if (signal?.aborted) stop();
    const report = await remote.start(options, await cores.cpu.given());
    return { instance: remote, report: { ...report, worker: true } };
  } catch (error) {
    if (signal?.aborted) throw aborted(signal);
    const { code, message } = toPilotlightError(error);
    // Options that are wrong are wrong here too.
    if (code === 'INVALID_INPUT') throw error;
    return here(options, message);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

async function here(options: LoadOptions, why: string | undefined): Promise<Place> {
  const { instance, report } = await chooseBackend(cores, options);
  const reason = why === undefined ? report.reason : `${report.reason} It runs on the calling thread because ${why}.`;
  return { instance, report: { ...report, worker: false, reason } };
}
