import { PilotlightError } from 'pilotlight';
import { reasonOf } from '../engine/problem';
import type { WorkKind } from './useLearner';

/** Work that failed, in words: what happened, what to do, and the library's own message. */
export interface RouteProblem {
  kind: WorkKind;
  title: string;
  advice: string;
  detail: string;
}

const TITLES: Record<WorkKind, string> = {
  learn: 'It could not learn from these examples.',
  teach: 'It could not learn this example.',
  check: 'It could not be checked.',
  open: 'This file cannot be opened.',
};

/** Puts failed work into words. */
export function routeProblem(error: unknown, kind: WorkKind): RouteProblem {
  const code = error instanceof PilotlightError ? error.code : undefined;
  return { kind, title: TITLES[kind], advice: adviceFor(code, kind), detail: reasonOf(error) };
}

function adviceFor(code: string | undefined, kind: WorkKind): string {
  if (code === 'RESOURCE_LIMIT') return 'There is not enough memory for so many examples: use fewer.';
  if (kind === 'check') return 'A check holds some examples back, so it needs ten or more, and several of each label.';
  if (code !== 'INVALID_INPUT') return 'Try again.';
  if (kind === 'open') return 'Choose a file that was saved here, or by Pilotlight, for the model that is loaded.';
  return 'Check the examples: it needs texts with at least two labels.';
}
