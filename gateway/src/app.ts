/** The gateway as an app that any host serves: `createGateway(host).fetch(request)`. */
import { type Context, Hono } from 'hono';
import type { Host, RequestEvent } from './host.ts';
import { authenticatorOf, NOBODY } from './http/auth.ts';
import { readBytes } from './http/body.ts';
import { GatewayError } from './http/errors.ts';
import { allowedOrigin, preflight, SECURE, TRACEPARENT } from './http/headers.ts';
import { logRequest, report } from './http/log.ts';
import { honoPath, Paths } from './http/paths.ts';
import { asGatewayError, invoke, newEvent } from './invoke.ts';
import { KEY_PATTERN, type Key } from './keys.ts';
import type { Operation } from './operation.ts';
import { operations as allOperations } from './operations.ts';

interface Variables {
  event: RequestEvent;
  /** Headers for the answer, also where it is an error. */
  out: Headers;
}
type Env = { Variables: Variables };

const FLUSH_MS = 10_000;
/** A body up to this length is read although its request is refused, so that the client can use its connection again. */
const DRAIN_BYTES = 65_536;

/** Makes the app of a host. Tests give it other operations than those there are. */
export function createGateway(host: Host, operations: readonly Operation[] = allOperations): Hono<Env> {
  const authenticator = authenticatorOf(host);
  const paths = new Paths(operations);
  const isPublic = (operation: Operation) =>
    operation.scope === 'public' || host.settings.PUBLIC.includes(operation.path.slice(1));
  let flushed = Date.now();
  const app = new Hono<Env>();

  app.use(async (c, next) => {
    const request = c.req.raw;
    const given = request.headers.get('x-request-id');
    // A key that someone sends in the wrong header must not come into the log.
    const id = given && /^[\w-]{8,64}$/.test(given) && !KEY_PATTERN.test(given) ? given : crypto.randomUUID();
    const event = newEvent(id, request.method, 'unmatched');
    c.set('event', event);
    const out = new Headers(SECURE);
    out.set('x-request-id', id);
    c.set('out', out);
    const started = performance.now();
    const origin = allowedOrigin(host.settings, request.headers, out);
    if (request.method === 'OPTIONS') {
      c.res = preflight(origin, request.headers, out);
      return;
    }
    await next();
    if (request.method === 'HEAD') leaveOut(c);
    finish(c, out);
    event.status = request.signal.aborted ? 499 : c.res.status;
    event.ms = performance.now() - started;
    host.events.record(event);
    logRequest(host.settings, event, traceOf(request.headers));
    const now = Date.now();
    if (now - flushed >= FLUSH_MS) {
      flushed = now;
      host.hold(host.events.flush().catch((error) => report(host.settings, 'events were not written', error)));
    }
  });

  for (const operation of operations) {
    app.on(operation.method, honoPath(operation.path), async (c) => {
      const event = c.get('event');
      event.route = operation.path;
      const request = c.req.raw;
      const open = isPublic(operation);
      const key = open ? NOBODY : await identify(c);
      return invoke(open ? { ...operation, scope: 'public' } : operation, {
        host,
        key,
        params: c.req.param(),
        headers: request.headers,
        request,
        requestId: event.id,
        signal: request.signal,
        event,
        out: c.get('out'),
      });
    });
  }

  app.notFound(async (c) => {
    const methods = paths.methods(c.req.path);
    try {
      // Without a key, nobody is told which paths there are.
      if (!paths.isPublic(c.req.path)) await identify(c);
      if (methods.length === 0) throw new GatewayError('not_found', 'There is nothing at this path.');
      throw new GatewayError('method_not_allowed', `This path takes ${methods.join(', ')}.`, {
        headers: { allow: methods.join(', ') },
      });
    } catch (error) {
      return refuse(c, error);
    }
  });

  app.onError((error, c) => refuse(c, error));
  return app;

  async function identify(c: Context<Env>): Promise<Key> {
    const key = await authenticator.authenticate(c.req.raw);
    const event = c.get('event');
    event.key = key.id;
    event.owner = key.owner;
    return key;
  }

  async function refuse(c: Context<Env>, thrown: unknown): Promise<Response> {
    const event = c.get('event');
    const request = c.req.raw;
    const error = asGatewayError(host, thrown, event.id, request.signal);
    event.error = error.code;
    const { 'x-limited-by': limited, ...headers } = error.headers;
    if (limited) event.limited = limited;
    const length = request.headers.get('content-length');
    if (request.body && !request.bodyUsed && length !== null && Number(length) <= DRAIN_BYTES) {
      await readBytes(request, DRAIN_BYTES, 1_000).catch(() => {});
    }
    return Response.json(error, { status: error.status, headers });
  }
}

/** Leaves out the body of an answer to HEAD, and ends what it would have come from, such as an open file. */
function leaveOut(c: Context<Env>): void {
  const { body, status, headers } = c.res;
  if (!body) return;
  body.cancel().catch(() => {});
  c.res = undefined;
  c.res = new Response(null, { status, headers });
}

/** Gives an answer the headers that all answers have. */
function finish(c: Context<Env>, out: Headers): void {
  const { res } = c;
  try {
    complete(res.headers, out);
  } catch {
    // The headers of an answer of `fetch` cannot be changed. A copy streams its body, so it is made for those alone.
    const headers = new Headers(res.headers);
    complete(headers, out);
    c.res = undefined;
    c.res = new Response(res.body, { status: res.status, headers });
  }
}

function complete(headers: Headers, out: Headers): void {
  for (const [name, value] of out) {
    if (name === 'vary') headers.append(name, value);
    else if (!headers.has(name)) headers.set(name, value);
  }
}

/** The id of the trace that a request belongs to. */
function traceOf(headers: Headers): string | undefined {
  return TRACEPARENT.exec(headers.get('traceparent') ?? '')?.[1];
}
