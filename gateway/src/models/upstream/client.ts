/** Requests to one server: one deadline over all tries, retries, a breaker, and a secret that goes nowhere else. */
import type { Host } from '../../host.ts';
import { clientClosed, GatewayError } from '../../http/errors.ts';
import type { UpstreamEntry } from '../config.ts';
import type { CallContext } from '../model.ts';
import { Breaker, type BreakerState, Places } from './breaker.ts';

/** The parts of the host that the client uses. */
export type UpstreamParts = Pick<Host, 'events' | 'hold' | 'secret' | 'service'>;

/** The most bytes of an answer: 2,048 vectors of 1,024 values as JSON. */
const MAX_ANSWER = 64 << 20;

/** Milliseconds before the second try; each further one waits twice as long. */
const FIRST_PAUSE = 100;

export interface Answer {
  json: unknown;
  headers: Headers;
}

/** The end of a try that may be followed by another. */
interface Failed {
  error: GatewayError;
  /** Whether another try may help, and after how many milliseconds at the least. */
  again?: number;
}

const STATES = { closed: 0, 'half-open': 1, open: 2 } as const;

export class Upstream {
  readonly name: string;
  readonly entry: UpstreamEntry;
  readonly #parts: UpstreamParts;
  readonly #breaker: Breaker;
  readonly #places: Places;

  constructor(name: string, entry: UpstreamEntry, parts: UpstreamParts) {
    this.name = name;
    this.entry = entry;
    this.#parts = parts;
    this.#breaker = new Breaker(entry.breaker as { failures: number; seconds: number });
    this.#places = new Places(entry.concurrency);
  }

  get state(): BreakerState {
    return this.#breaker.state;
  }

  /** The time at which a call that begins now has to end, in milliseconds since 1970. */
  deadline(): number {
    return Date.now() + this.entry.timeout_ms;
  }

  /**
   * Sends JSON, and reads the answer as JSON. `check` takes from it what the caller returns, and throws `upstream_bad_answer`.
   * @throws {GatewayError}
   */
  async post<T>(
    path: string,
    body: unknown,
    context: CallContext,
    deadline: number,
    check: (answer: Answer) => T,
  ): Promise<T> {
    const work = this.#tries(path, JSON.stringify(body), context, deadline, check);
    // In a Worker the end of a request whose client left would not be seen, and its place would be taken until the deadline.
    this.#parts.hold(work.catch(() => {}));
    return work;
  }

  async #tries<T>(
    path: string,
    body: string,
    context: CallContext,
    deadline: number,
    check: (answer: Answer) => T,
  ): Promise<T> {
    const started = Date.now();
    const timeout = AbortSignal.timeout(Math.max(0, deadline - started));
    const signal = AbortSignal.any([timeout, context.signal]);
    try {
      for (let left = this.entry.tries; ; left -= 1) {
        const failed = await this.#try(path, body, context, { deadline, signal, timeout }, check);
        if (!('error' in failed)) return failed.value;
        const { error, again } = failed;
        const pause = again === undefined ? Number.POSITIVE_INFINITY : Math.max(again, this.#pause(left));
        if (left <= 1 || Date.now() + pause >= deadline || this.state === 'open') throw error;
        await slept(pause, signal);
        if (signal.aborted) throw this.#ended(context);
      }
    } finally {
      const labels = { upstream: this.name };
      this.#parts.events.observe('upstream_seconds', (Date.now() - started) / 1000, labels);
      this.#parts.events.observe('upstream_state', STATES[this.state], labels);
    }
  }

  #pause(left: number): number {
    return FIRST_PAUSE * 2 ** (this.entry.tries - left) * (0.75 + Math.random() / 2);
  }

  async #try<T>(
    path: string,
    body: string,
    context: CallContext,
    { deadline, signal, timeout }: { deadline: number; signal: AbortSignal; timeout: AbortSignal },
    check: (answer: Answer) => T,
  ): Promise<{ value: T } | Failed> {
    const request = await this.#request(path, body, context, signal);
    const free = await this.#places.take(deadline, signal);
    if (!free) throw this.#ended(context);
    try {
      const wait = this.#breaker.enter(deadline);
      if (wait > 0) throw this.#unavailable('has failed and is left alone for a while', Math.ceil(wait / 1000));
      const response = await this.#send(request);
      const failed = await this.#refused(response);
      if (failed) return this.#failed(failed, response.status);
      const value = check({ json: await jsonOf(response), headers: response.headers });
      this.#breaker.succeed();
      return { value };
    } catch (error) {
      if (context.signal.aborted) {
        this.#breaker.forget();
        throw this.#ended(context);
      }
      if (timeout.aborted) {
        this.#breaker.fail();
        throw this.#ended(context);
      }
      if (error instanceof GatewayError) {
        if (error.code === 'upstream_bad_answer') this.#breaker.fail();
        throw error;
      }
      this.#breaker.fail();
      const message = `The upstream "${this.name}" cannot be reached.`;
      return { error: new GatewayError('upstream_unreachable', message, { cause: error }), again: 0 };
    } finally {
      free();
    }
  }

  /** The error of a call that ended before there was an answer. */
  #ended(context: CallContext): GatewayError {
    if (context.signal.aborted) return clientClosed();
    const seconds = this.entry.timeout_ms / 1000;
    return new GatewayError('upstream_timeout', `The upstream "${this.name}" gave no answer within ${seconds} s.`);
  }

  #unavailable(what: string, seconds: number): GatewayError {
    return new GatewayError('upstream_unavailable', `The upstream "${this.name}" ${what}.`, {
      headers: { 'retry-after': String(seconds) },
    });
  }

  async #request(path: string, body: string, context: CallContext, signal: AbortSignal): Promise<Request> {
    const { url, service, secret } = this.entry;
    const headers = new Headers({
      'content-type': 'application/json',
      accept: 'application/json',
      'x-request-id': context.requestId,
    });
    if (context.traceparent !== undefined) headers.set('traceparent', context.traceparent);
    if (secret !== undefined) {
      const value = await this.#parts.secret(secret);
      if (!value) throw new GatewayError('upstream_auth', `The secret of the upstream "${this.name}" is not set.`);
      headers.set('authorization', `Bearer ${value}`);
    }
    // The host of an address to a binding is not looked up.
    const base = (url ?? `https://${service?.toLowerCase().replaceAll('_', '-')}.internal/v1`).replace(/\/+$/, '');
    // A redirect would take the body, and perhaps the secret, to a server that nobody named.
    return new Request(base + path, { method: 'POST', headers, body, signal, redirect: 'manual' });
  }

  async #send(request: Request): Promise<Response> {
    const { service } = this.entry;
    if (service === undefined) return fetch(request);
    const send = this.#parts.service?.(service);
    if (!send) throw this.#unavailable(`is the binding ${service}, which this host does not have`, 60);
    return send(request);
  }

  /** The error of an answer that is no success; `undefined` for a success. */
  async #refused(response: Response): Promise<Failed | undefined> {
    const { status, headers } = response;
    if (status >= 200 && status < 300) return;
    const said = await errorIn(response);
    const after = secondsOf(headers.get('retry-after'));
    if (status === 429) {
      const error = new GatewayError('overloaded', `The upstream "${this.name}" is at its limit.`, {
        headers: { 'retry-after': String(Math.ceil(after ?? 1)) },
      });
      return { error, again: (after ?? 0) * 1000 };
    }
    if (status >= 500 || status === 408) {
      const error = this.#unavailable(`answered ${status}`, Math.ceil(after ?? 1));
      return { error, again: (after ?? 0) * 1000 };
    }
    if (status === 401 || status === 403)
      return { error: new GatewayError('upstream_auth', `The upstream "${this.name}" refused the gateway's secret.`) };
    if (status === 400 || status === 413 || status === 422) {
      const code = status === 413 ? 'body_too_large' : 'invalid_request';
      const message = said.message ?? `The upstream "${this.name}" refused the request with ${status}.`;
      return { error: new GatewayError(code, message, said.param === undefined ? {} : { param: said.param }) };
    }
    return { error: this.bad(`answered ${status}`) };
  }

  #failed(failed: Failed, status: number): Failed {
    if (failed.error.code === 'upstream_bad_answer' || status >= 500 || status === 408) this.#breaker.fail();
    // It answers, so it works; what it was asked, or by whom, is wrong.
    else this.#breaker.succeed();
    return failed;
  }

  /** The error of an answer that is not what was asked for. */
  bad(what: string): GatewayError {
    return new GatewayError('upstream_bad_answer', `The upstream "${this.name}" ${what}.`);
  }
}

async function jsonOf(response: Response): Promise<unknown> {
  const text = await textOf(response, MAX_ANSWER);
  try {
    return JSON.parse(text);
  } catch {
    // `check` says what it expected instead.
    return undefined;
  }
}

/** The message and the field in an error of OpenAI's form. */
async function errorIn(response: Response): Promise<{ message?: string; param?: string }> {
  try {
    const { error } = JSON.parse(await textOf(response, 65_536)) as { error?: { message?: unknown; param?: unknown } };
    const { message, param } = Object(error) as { message?: unknown; param?: unknown };
    return {
      ...(typeof message === 'string' && { message: message.slice(0, 300) }),
      ...(typeof param === 'string' && { param: param.slice(0, 200) }),
    };
  } catch {
    return {};
  }
}

/** The text of an answer, which may be endless. */
async function textOf({ body }: Response, most: number): Promise<string> {
  if (!body) return '';
  const reader = (body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  let text = '';
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.byteLength;
    if (size > most) {
      await reader.cancel();
      return '';
    }
    text += decoder.decode(value, { stream: true });
  }
}

/** Seconds until the time that a `retry-after` names. */
function secondsOf(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\d+(\.\d+)?$/.test(header)) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000);
}

async function slept(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const wake = (): void => resolve();
  signal.addEventListener('abort', wake, { once: true });
  if (signal.aborted) wake();
  await promise;
  clearTimeout(timer);
  signal.removeEventListener('abort', wake);
}
