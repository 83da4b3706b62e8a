/** Decides which answers put work off, as they only ask to try later. */
import type { answerLine } from '../invoke.ts';
import { LIMIT_SECONDS, TRIES, TRY_SECONDS } from './limits.ts';

export type Given = Awaited<ReturnType<typeof answerLine>>;

/** A break of the work: the seconds until its rest goes on, and the number of that try. */
export interface Stop {
  delaySeconds: number;
  tries: number;
}

/** The break after an answer; undefined where the answer counts. */
export function stopFor({ status, body }: Given, tries: number, signal: AbortSignal): Stop | undefined {
  // A host that stops aborts what is under way: that is no answer.
  if (signal.aborted) return { delaySeconds: 0, tries };
  const code = (body as { error?: { code?: unknown } } | null)?.error?.code;
  if (status === 429 && code !== 'insufficient_quota') return { delaySeconds: LIMIT_SECONDS, tries };
  const delaySeconds = TRY_SECONDS[tries - 1];
  if (status >= 500 && tries < TRIES && delaySeconds !== undefined) return { delaySeconds, tries: tries + 1 };
  return undefined;
}
