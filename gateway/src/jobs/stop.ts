/** When work is put off, because its answer only says that it should be asked for later. */
import type { answerLine } from '../invoke.ts';
import { LIMIT_SECONDS, TRIES, TRY_SECONDS } from './limits.ts';

export type Given = Awaited<ReturnType<typeof answerLine>>;

/** When the rest of the work goes on, and which try that is. */
export interface Stop {
  delaySeconds: number;
  tries: number;
}

export function stopFor({ status, body }: Given, tries: number, signal: AbortSignal): Stop | undefined {
  // A host that stops aborts what is under way: that is no answer.
  if (signal.aborted) return { delaySeconds: 0, tries };
  const code = (body as { error?: { code?: unknown } } | null)?.error?.code;
  if (status === 429 && code !== 'insufficient_quota') return { delaySeconds: LIMIT_SECONDS, tries };
  const delaySeconds = TRY_SECONDS[tries - 1];
  if (status >= 500 && tries < TRIES && delaySeconds !== undefined) return { delaySeconds, tries: tries + 1 };
  return undefined;
}
