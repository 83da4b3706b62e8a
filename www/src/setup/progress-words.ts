import type { LoadProgress } from 'pilotlight';
import { hostName } from '../engine/choice';
import type { LoaderState } from '../engine/loader';
import { isWeights } from '../engine/resumption';

/** The parts of a loading state that its words depend on. */
export type Loading = Pick<Extract<LoaderState<unknown>, { status: 'loading' }>, 'choice' | 'progress' | 'resumedAt'>;

/** The share of a load that is done, 0 to 1. It is null until the weights begin, because the small files before them are no measure of the whole. */
export function shareLoaded(progress: LoadProgress | null): number | null {
  if (!progress || progress.total === 0) return null;
  if (!progress.cached && !isWeights(progress.file)) return null;
  return Math.min(1, progress.loaded / progress.total);
}

/** Describes the step of a load, and the source of its bytes. */
export function progressWords({ progress, choice, resumedAt }: Loading): { step: string; source: string } {
  const host = hostName(choice.host);
  const source = progress?.cached ? 'from this browser’s store' : `from ${host}`;
  switch (progress?.status) {
    case 'download':
      if (resumedAt > 0)
        return {
          step: 'Fetching the rest of the model',
          source: `${source}, going on from about ${Math.floor(resumedAt / 1e6)} MB`,
        };
      return { step: progress.cached ? 'Reading the model' : 'Fetching the model', source };
    case 'prepare':
      return { step: 'Getting the model ready', source };
    case 'ready':
      return { step: 'Ready', source };
    default:
      return { step: 'Looking for the model', source: `on ${host}` };
  }
}

/** The state of a load for screen readers, which changes at every quarter. A problem is announced by its own alert. */
export function announcement(state: LoaderState<unknown>): string {
  if (state.status === 'ready') return `${state.choice.model.split('/').pop()} is ready`;
  if (state.status !== 'loading') return '';
  const { step } = progressWords(state);
  const share = shareLoaded(state.progress);
  return share === null ? step : `${step}: ${Math.floor(share * 4) * 25} percent`;
}
