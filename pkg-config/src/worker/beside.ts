import { cores, spawner } from '#runtime';
import type { LoadOptions } from '../../types/index.js';
import { aborted, signalOf, stoppedBy } from '../calls/abort.js';
import { checkListener, shown } from '../calls/check.js';
import { type ChoiceReport, chooseBackend } from '../core/backend.js';
import type { Instance } from '../core/instance.js';
import { PilotlightError, toPilotlightError } from '../error.js';
import { asksForThreads, checkThreads } from './threads.js';
import { asksForSeveral, checkWorkers } from './workers.js';

/** The core that a model is going to run in, on this thread or in a worker, and the report about the choice. */
export interface Place {
  instance: Instance;
  report: ChoiceReport;
}

/**
 * Chooses where a model runs: in a worker where `options` ask for one, or a page has one by itself, and one can be started; else on this thread.
 * A worker that was started, but got no model, is to be ended by `abandon`.
 */
export async function choosePlace(options: LoadOptions): Promise<Place> {
  const { worker = 'auto' } = options as { worker?: unknown };
  if (worker !== 'auto' && typeof worker !== 'boolean')
    throw new PilotlightError('INVALID_INPUT', `worker: expected 'auto', true or false, got ${shown(worker)}`);
  checkWorkers(options);
  checkThreads(options);
  checkListener(options);
  if (worker === false) return here(options, 'worker is false');
  const isAsked = worker === true || asksForSeveral(options);
  if (!spawner?.isHere()) {
    const why = spawner ? `workers are started in ${spawner.places} only` : `${cores.runtime} has no workers`;
    // A program that asked for none need not hear why there is none.
    return here(options, isAsked ? why : undefined);
  }
  if (!isAsked && !spawner.byItself) return here(options, undefined);
  const remote = await spawner.start();
  if (typeof remote === 'string') return here(options, remote);
  const signal = signalOf(options);
  const stop = (): void => remote.terminate();
  try {
    const wasm = await spawner.code();
    const report = await stoppedBy(signal, stop, () => remote.start(options, wasm));
    return { instance: remote, report: { ...report, worker: true } };
  } catch (error) {
    stop();
    if (signal?.aborted) throw aborted(signal);
    const { code, message } = toPilotlightError(error);
    // Options that are wrong are wrong here too.
    if (code === 'INVALID_INPUT') throw error;
    return here(options, message);
  }
}

async function here(options: LoadOptions, why: string | undefined): Promise<Place> {
  const { instance, report } = await chooseBackend(cores, options);
  const words = [report.reason];
  if (why !== undefined) words.push(`It runs on the calling thread because ${why}.`);
  if (asksForThreads(options)) words.push('It computes with one thread because it has no worker.');
  const reason = words.join(' ');
  return { instance, report: { ...report, worker: false, reason } };
}
