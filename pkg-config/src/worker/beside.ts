import { cores, spawn } from '#runtime';
import type { BackendReport, LoadOptions } from '../../types/index.js';
import { shown } from '../calls/check.js';
import { chooseBackend } from '../core/backend.js';
import type { Instance } from '../core/instance.js';
import { PilotlightError, toPilotlightError } from '../error.js';
import { checkWorkers } from './workers.js';

/** The core that a model is going to run in, here or in a worker, and the report about the choice. */
export interface Place {
  instance: Instance;
  report: BackendReport;
}

/** Chooses where a model runs: in a worker beside the page where `options.worker` allows one and one can be started, else on this thread. */
export async function choosePlace(options: LoadOptions): Promise<Place> {
  const { worker = 'auto' } = options as { worker?: unknown };
  if (worker !== 'auto' && typeof worker !== 'boolean')
    throw new PilotlightError('INVALID_INPUT', `worker: expected 'auto', true or false, got ${shown(worker)}`);
  checkWorkers(options);
  if (worker === false) return here(options, 'worker is false');
  const remote = spawn?.();
  // Without a page there is nobody to be held up, and nothing to tell.
  if (remote === undefined)
    return here(options, worker === true ? 'this entry of the package starts no worker' : undefined);
  if (typeof remote === 'string') return here(options, remote);
  try {
    const report = await remote.start(options, await cores.cpu.given());
    return { instance: remote, report: { ...report, worker: true } };
  } catch (error) {
    const { code, message } = toPilotlightError(error);
    // Options that are wrong are wrong here too.
    if (code === 'INVALID_INPUT') throw error;
    return here(options, message);
  }
}

async function here(options: LoadOptions, why: string | undefined): Promise<Place> {
  const { instance, report } = await chooseBackend(cores, options);
  const reason = why === undefined ? report.reason : `${report.reason} It runs on the calling thread because ${why}.`;
  return { instance, report: { ...report, worker: false, reason } };
}
