/**
 * Runs an operation for a key: scope, limits, body, cache, handler, history. A request comes here after its authentication, and a line of a
 * batch comes here without one, so both are held to the same rules.
 */
import { remember } from './history.ts';
import type { Host, RequestEvent } from './host.ts';
import { checkBody, checkJson, guarded, MAX_BYTES, mediaType, parseJson, readBytes } from './http/body.ts';
import { type CachePlan, give, responseCacheOf } from './http/cache.ts';
import { clientClosed, GatewayError } from './http/errors.ts';
import { Limiter, reservation } from './http/limits.ts';
import { report } from './http/log.ts';
import { checkStorable, queryOf, validate } from './http/validate.ts';
import type { Key } from './keys.ts';
import { checkAllowed } from './models/asking.ts';
import type { Call, Operation } from './operation.ts';
import { operations } from './operations.ts';

/** A call before its body was read. */
export interface Invocation extends Omit<Call, 'body' | 'query' | 'host' | 'key'> {
  host: Host;
  key: Key;
  /** The body of a line of a batch, instead of a request. */
  line?: unknown;
  /** Headers that the answer gets, also where it is an error. */
  out: Headers;
}

/**
 * Runs an operation.
 * @throws {GatewayError} the error to answer instead
 */
export async function invoke(operation: Operation, invocation: Invocation): Promise<Response> {
  const { host, key, event, out } = invocation;
  if (operation.scope !== 'public' && operation.scope !== 'any' && !key.scopes.includes(operation.scope)) {
    throw new GatewayError('missing_scope', `This key lacks the scope "${operation.scope}".`);
  }
  const line = invocation.request === undefined;
  // A batch was one request when it was made; its lines count by their tokens.
  const limits = line ? tokensOnly(key) : operation.scope === 'public' ? {} : key.limits;
  const limiter = new Limiter(host, key, limits, out);
  limiter.refuseKnown();
  try {
    await limiter.enter();
    let call: Call;
    try {
      call = await readCall(operation, invocation);
      checkAllowed(key, namedModel(call.body), 'model');
    } catch (error) {
      await limiter.take(0);
      throw error;
    }
    const response = await answer(operation, call, limiter, out);
    // The handler chose a model where the body names none.
    checkAllowed(key, event.model, 'model');
    if (operation.predicts && key.history !== 'off' && response.ok) return await remember(call, response);
    return response;
  } catch (error) {
    // A name that is none of a model's is content.
    if (error instanceof GatewayError && error.code === 'model_not_found') delete event.model;
    throw error;
  } finally {
    // A client that leaves before the answer pays the reservation, as the work may be done.
    await limiter.settle(invocation.signal.aborted ? undefined : event.tokens);
  }
}

async function answer(operation: Operation, call: Call, limiter: Limiter, out: Headers): Promise<Response> {
  const { host, event } = call;
  const cached = typeof operation.cached === 'function' ? operation.cached(call.body) : operation.cached === true;
  const cache = cached ? responseCacheOf(host) : undefined;
  const plan: CachePlan | undefined = await cache?.plan(operation, call);
  if (cache && plan) {
    const hit = await cache.match(plan);
    if (hit) {
      await limiter.take(0);
      return give(hit.answer, 'HIT', hit.age, event, out);
    }
    if (plan.onlyIfCached || cache.isRunning(plan)) {
      await limiter.take(0);
      if (plan.onlyIfCached) throw new GatewayError('not_cached', 'The cache has no answer to this request.');
    }
  } else if (cache) {
    event.cache = 'BYPASS';
    out.set('x-cache', 'BYPASS');
  }
  await limiter.take(operation.predicts ? reserved(operation, call.body) : 0);
  const handle = (signal: AbortSignal) => {
    const handled = operation.handle({ ...call, signal });
    // Work that others wait for, such as the load of a model, must go on when the client that caused it has left.
    host.hold(handled.catch(() => {}));
    return handled;
  };
  return cache && plan ? cache.share(plan, call, out, handle) : handle(call.signal);
}

async function readCall(operation: Operation, invocation: Invocation): Promise<Call> {
  const { line, out: _, ...rest } = invocation;
  const call: Call = { ...rest, body: undefined, query: undefined };
  const { request } = invocation;
  for (const [param, value] of Object.entries(call.params)) checkStorable(param, value);
  if (operation.query) {
    call.query = validate(operation.query, request ? queryOf(request.url) : {}, 'the query');
  } else if (request && operation.scope !== 'public') {
    const [name] = Object.keys(queryOf(request.url));
    if (name !== undefined) {
      const param = name.slice(0, 200);
      throw new GatewayError('invalid_request', `${param}: unknown parameter of the query`, { param });
    }
  }
  if (!request) {
    checkJson(line);
    call.body = operation.body ? validate(operation.body, line, 'the body') : undefined;
    return call;
  }
  const maxBytes = operation.maxBytes ?? MAX_BYTES;
  const types = [...(operation.body ? ['application/json'] : []), ...(operation.raw ?? [])];
  if (types.length === 0) return call;
  if (operation.body && !request.headers.has('content-type') && (await isEmpty(request))) {
    // No body says the same as one without fields.
    call.body = validate(operation.body, {}, 'the body');
    return call;
  }
  checkBody(request.headers, types, maxBytes);
  if (operation.body && mediaType(request.headers) === 'application/json') {
    const json = parseJson(await readBytes(request, maxBytes), operation.maxValues);
    call.body = validate(operation.body, json, 'the body');
  } else if (request.body) {
    call.stream = guarded(request.body as ReadableStream<Uint8Array>, maxBytes);
  }
  return call;
}

/** Whether a request has no body; some servers make an empty stream of none. */
async function isEmpty(request: Request): Promise<boolean> {
  try {
    await readBytes(request, 0);
    return true;
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'body_too_large') return false;
    throw error;
  }
}

/** The model that a body names. */
function namedModel(body: unknown): string | undefined {
  const { model } = (body ?? {}) as { model?: unknown };
  return typeof model === 'string' ? model : undefined;
}

function tokensOnly({ limits: { tpm, tpd } }: Key): Key['limits'] {
  return { ...(tpm === undefined ? {} : { tpm }), ...(tpd === undefined ? {} : { tpd }) };
}

/** The tokens that a request may take: by its own count, or by the characters of its texts. */
function reserved(operation: Operation, body: unknown): number {
  return operation.tokens ? operation.tokens(body) : reservation(charactersOf(body));
}

const NO_TEXTS = new Set(['model', 'model_name', 'encoding_format', 'user', 'classifier_type']);

/** Characters of the texts in a body: all strings but names and choices. */
function charactersOf(body: unknown): number {
  let characters = 0;
  const open: unknown[] = [body];
  while (open.length > 0) {
    const value = open.pop();
    if (typeof value === 'string') {
      characters += value.length;
    } else if (Array.isArray(value)) {
      // Vectors have thousands of numbers, which are no text.
      if (typeof value[0] !== 'number') for (const item of value) open.push(item);
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, item] of Object.entries(value)) {
        if (!NO_TEXTS.has(name)) open.push(item);
      }
    }
  }
  return characters;
}

/** An event of which only the request is known. */
export function newEvent(id: string, method: string, route: string): RequestEvent {
  return { id, at: Date.now(), route, method, status: 0, ms: 0, items: 0, tokens: 0 };
}

/** The error to answer: one of the gateway's own, or else `internal`, whose reason goes to the log alone. */
export function asGatewayError(host: Host, error: unknown, requestId: string, signal?: AbortSignal): GatewayError {
  if (error instanceof GatewayError) {
    if (error.status >= 500 && error.cause !== undefined) report(host.settings, error.code, error.cause, requestId);
    return error;
  }
  if (signal?.aborted) return clientClosed(error);
  report(host.settings, 'internal', error, requestId);
  return new GatewayError('internal', 'An error inside the gateway. Its log has the request id.', { cause: error });
}

/** Answers a line of a batch: the same checks, scope and limits of tokens as for a request to the same path. */
export async function answerLine(
  host: Host,
  key: Key,
  path: string,
  body: unknown,
  signal: AbortSignal,
): Promise<{ status: number; body: unknown }> {
  const requestId = crypto.randomUUID();
  const event = newEvent(requestId, 'POST', path);
  event.key = key.id;
  event.owner = key.owner;
  const started = performance.now();
  try {
    const operation = operations.find((one) => one.batched && one.method === 'POST' && one.path === path);
    if (!operation) throw new GatewayError('not_found', 'A batch has no lines for this path.', { param: 'url' });
    const response = await invoke(operation, {
      host,
      key,
      params: {},
      headers: new Headers(),
      requestId,
      signal,
      event,
      line: body,
      out: new Headers(),
    });
    event.status = response.status;
    return { status: response.status, body: await response.json() };
  } catch (thrown) {
    const error = asGatewayError(host, thrown, requestId, signal);
    event.status = error.status;
    event.error = error.code;
    return { status: error.status, body: error.toJSON() };
  } finally {
    event.ms = performance.now() - started;
    host.events.record(event);
  }
}
