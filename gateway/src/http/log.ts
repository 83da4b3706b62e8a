/** Log lines: one for each request, without anything of its content, and one for each failure inside the gateway. */
import type { RequestEvent } from '../host.ts';
import type { Settings } from '../settings.ts';

/** Writes what is known of an answered request. */
export function logRequest(settings: Settings, event: RequestEvent, trace: string | undefined): void {
  if (settings.LOG_LEVEL !== 'info') return;
  console.log(JSON.stringify({ level: 'info', ...event, ms: Math.round(event.ms * 10) / 10, trace }));
}

/**
 * Writes an error of the gateway itself. Of its message, what stands in quotes is left out: engines and databases quote there what a
 * request said.
 */
export function report(settings: Settings, what: string, error: unknown, requestId?: string): void {
  if (settings.LOG_LEVEL === 'silent') return;
  console.error(JSON.stringify({ level: 'error', what, id: requestId, ...describe(error) }));
}

function describe(error: unknown, depth = 0): Record<string, unknown> {
  if (!(error instanceof Error)) return { error: typeof error };
  const code = (error as { code?: unknown }).code;
  return {
    error: error.name,
    code: typeof code === 'string' || typeof code === 'number' ? code : undefined,
    message: error.message.replace(/(["'`])[\s\S]*\1/g, '$1…$1').slice(0, 300),
    at: error.stack
      ?.split('\n')
      .filter((line) => /^\s+at /.test(line))
      .slice(0, 8)
      .map((line) => line.trim()),
    cause: error.cause === undefined || depth === 2 ? undefined : describe(error.cause, depth + 1),
  };
}
