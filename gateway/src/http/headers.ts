/** Headers of all answers: those for browsers that call from other origins, and those that keep answers from being misused. */
import type { Settings } from '../settings.ts';

/** Answers are data: no browser should run, frame or guess them. The page of docs has a policy of its own. */
export const SECURE: Readonly<Record<string, string>> = {
  'cache-control': 'private, no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** A `traceparent` header, with the id of the trace. *Source*: W3C, "Trace Context". */
export const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

const ALL_METHODS = 'DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT';
const ALLOWED_HEADERS =
  'authorization, content-type, x-api-key, x-request-id, cache-control, idempotency-key, traceparent';
const EXPOSED_HEADERS = [
  'x-request-id',
  'ratelimit-policy',
  'ratelimit',
  ...['requests', 'tokens'].flatMap((what) =>
    ['limit', 'remaining', 'reset'].map((which) => `x-ratelimit-${which}-${what}`),
  ),
  'retry-after',
  'x-should-retry',
  'x-cache',
  'age',
  'x-truncated',
  'x-seed',
].join(', ');

/** The origin of a request, if it may read answers; what its browser must know goes into `out`. Cookies are never taken. */
export function allowedOrigin(settings: Settings, headers: Headers, out: Headers): string | undefined {
  if (settings.CORS_ORIGINS.length === 0) return undefined;
  out.append('vary', 'origin');
  const origin = headers.get('origin');
  if (origin === null || !settings.CORS_ORIGINS.includes(origin)) return undefined;
  out.set('access-control-allow-origin', origin);
  out.set('access-control-expose-headers', EXPOSED_HEADERS);
  return origin;
}

/** The answer to OPTIONS, which is the same for all paths: it needs no key, and nobody is told without one which paths there are. */
export function preflight(origin: string | undefined, headers: Headers, out: Headers): Response {
  const answer = new Headers(out);
  answer.delete('access-control-expose-headers');
  if (origin !== undefined && headers.has('access-control-request-method')) {
    answer.set('access-control-allow-methods', ALL_METHODS);
    answer.set('access-control-allow-headers', ALLOWED_HEADERS);
    answer.set('access-control-max-age', '600');
  }
  return new Response(null, { status: 204, headers: answer });
}
