/** Answers that depend on nothing but the request and the model are kept, and equal requests at the same time are computed once. */
import type { Host, RequestEvent } from '../host.ts';
import { sha256 } from '../keys.ts';
import type { Call, Operation } from '../operation.ts';
import { perHost } from '../per-host.ts';
import { untilLeft } from '../waiting.ts';
import { report } from './log.ts';

const MAX_BYTES = 1 << 20;
/** Raised whenever answers to the same request change otherwise than by the model. */
const VERSION = 1;
const META = 'x-gateway-meta';
/**
 * The milliseconds for which an equal request is waited for. In a Worker the work belongs to the request that began it, and is dropped without
 * a word 30 seconds after its client has left.
 */
const FLIGHT_MS = 25_000;

export interface CachePlan {
  digest: string;
  /** The place where the model of the request runs. */
  run: RequestEvent['run'];
  /** Whether an answer may come from the cache. */
  read: boolean;
  /** The most seconds that it may be old. */
  maxAge: number;
  onlyIfCached: boolean;
}

/** The fields of an event that belong to its answer, and are the same for each request that gets the answer. */
type Meta = Pick<RequestEvent, 'model' | 'run' | 'upstream' | 'items'>;

interface Answer {
  status: number;
  headers: [string, string][];
  bytes: Uint8Array<ArrayBuffer>;
  meta: Meta;
}

/** A kept answer, and how many seconds old it is. */
export interface Hit {
  answer: Answer;
  age: number;
}

interface Flight {
  answer: Promise<Answer>;
  /** Milliseconds since 1970. */
  startedAt: number;
  waiting: number;
  done: boolean;
  abort: AbortController;
}

/** JSON with the names of objects in order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, item) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  );
}

/** The directives of a request's `cache-control`. */
function directives(headers: Headers): Map<string, string> {
  return new Map(
    (headers.get('cache-control') ?? '')
      .toLowerCase()
      .split(',')
      .map((one) => one.trim().split('=') as [string, string?])
      .map(([name, value]) => [name, value ?? '']),
  );
}

class ResponseCache {
  readonly #host: Host;
  readonly #flights = new Map<string, Flight>();

  constructor(host: Host) {
    this.#host = host;
  }

  /** Plans the use of the cache for a call; undefined where the client or the settings want none. */
  async plan(operation: Operation, call: Call): Promise<CachePlan | undefined> {
    const { settings, models } = this.#host;
    const asked = directives(call.headers);
    if (asked.has('no-store') || settings.CACHE_SECONDS === 0) return undefined;
    const name = (call.body as { model?: unknown } | undefined)?.model;
    const infos = await models.list();
    const named = infos.find(({ id }) => id === name);
    const accept = call.headers.get('accept');
    const digest = sha256(
      canonical({
        version: VERSION,
        route: operation.path,
        body: call.body,
        // A request without a model leaves it to the route: any change of the models may change its answer.
        model: named ? named.digest : infos.map(({ id, digest }) => [id, digest]),
        accept: accept === null || accept === '*/*' ? 'application/json' : accept,
        // The time of an answer tells whether someone asked the same before, so owners do not share answers unless the settings say so.
        owner: settings.CACHE_SCOPE === 'owner' ? call.key.owner : '',
        // A key that may not use the model of an answer must not find it here.
        models: call.key.models,
      }),
    );
    const maxAge = /^\d{1,9}$/.test(asked.get('max-age') ?? '')
      ? Number(asked.get('max-age'))
      : Number.POSITIVE_INFINITY;
    return {
      digest,
      run: named?.run,
      read: !asked.has('no-cache') && maxAge > 0,
      maxAge,
      onlyIfCached: asked.has('only-if-cached'),
    };
  }

  /** The kept answer, if there is one that is young enough. */
  async match(plan: CachePlan): Promise<Hit | undefined> {
    if (!plan.read) return undefined;
    try {
      const kept = await this.#host.cache.match(plan.digest);
      const meta = kept && JSON.parse(kept.headers.get(META) ?? 'null');
      if (!kept || !meta) return undefined;
      const age = Math.max(0, Math.floor((Date.now() - meta.at) / 1000));
      if (age > plan.maxAge) {
        await kept.body?.cancel();
        return undefined;
      }
      const headers = (meta.headers as [string, string][]) ?? [];
      const answer: Answer = { status: 200, headers, bytes: new Uint8Array(await kept.arrayBuffer()), meta: meta.meta };
      return { answer, age };
    } catch (error) {
      report(this.#host.settings, 'the cache failed, and the request goes on', error);
      return undefined;
    }
  }

  /** Whether the answer is computed right now. */
  isRunning(plan: CachePlan): boolean {
    return plan.read && this.#flights.has(plan.digest);
  }

  /** Computes an answer and keeps it, or waits for the equal request that does. */
  async share(
    plan: CachePlan,
    call: Call,
    out: Headers,
    handle: (signal: AbortSignal) => Promise<Response>,
  ): Promise<Response> {
    for (;;) {
      const running = plan.read ? this.#flights.get(plan.digest) : undefined;
      const flight = running ?? this.#start(plan, call, handle);
      const answer = await this.#wait(plan.digest, flight, call.signal, running !== undefined);
      if (answer) return give(answer, running ? 'HIT' : 'MISS', 0, call.event, out);
      // One of those who have waited in vain begins anew.
      this.#forget(plan.digest, flight);
    }
  }

  #start(plan: CachePlan, call: Call, handle: (signal: AbortSignal) => Promise<Response>): Flight {
    const abort = new AbortController();
    const answer = (async () => {
      const response = await handle(abort.signal);
      const { model, run, upstream, items } = call.event;
      const meta: Meta = { items };
      if (model !== undefined) meta.model = model;
      if (run !== undefined) meta.run = run;
      if (upstream !== undefined) meta.upstream = upstream;
      const bytes = new Uint8Array(await response.arrayBuffer());
      return { status: response.status, headers: [...response.headers], bytes, meta };
    })();
    const flight: Flight = { answer, startedAt: Date.now(), waiting: 0, done: false, abort };
    this.#flights.set(plan.digest, flight);
    const kept = answer
      .finally(() => {
        flight.done = true;
      })
      .then((done) => this.#keep(plan, done))
      .catch(() => {})
      .finally(() => this.#forget(plan.digest, flight));
    this.#host.hold(kept);
    return flight;
  }

  #forget(digest: string, flight: Flight): void {
    if (this.#flights.get(digest) === flight) this.#flights.delete(digest);
  }

  async #keep({ digest, run }: CachePlan, { status, headers, bytes, meta }: Answer): Promise<void> {
    if (status !== 200 || bytes.byteLength > MAX_BYTES) return;
    // A fallback has other weights than those that the digest is of.
    if (run !== undefined && meta.run !== undefined && meta.run !== run) return;
    const kept = new Response(bytes, {
      headers: {
        'content-type': 'application/octet-stream',
        'cache-control': `max-age=${this.#host.settings.CACHE_SECONDS}`,
        [META]: JSON.stringify({ at: Date.now(), headers, meta }),
      },
    });
    try {
      await this.#host.cache.put(digest, kept, this.#host.settings.CACHE_SECONDS);
    } catch (error) {
      report(this.#host.settings, 'the cache failed, and the answer is not kept', error);
    }
  }

  /**
   * Waits for an answer as long as the client does; when the last of them has left, the work ends. Returns undefined where the work is
   * another's, and has taken too long.
   */
  async #wait(digest: string, flight: Flight, signal: AbortSignal, isOther: boolean): Promise<Answer | undefined> {
    flight.waiting += 1;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((resolve) => {
      if (isOther) timer = setTimeout(resolve, flight.startedAt + FLIGHT_MS - Date.now(), undefined);
    });
    try {
      return await untilLeft(Promise.race([flight.answer, late]), signal);
    } finally {
      clearTimeout(timer);
      flight.waiting -= 1;
      if (flight.waiting === 0 && !flight.done) {
        // The next equal request must not wait for work that was given up.
        this.#forget(digest, flight);
        flight.abort.abort();
      }
    }
  }
}

/** The cache of a host, with the answers that are computed right now. */
export const responseCacheOf = perHost((host) => new ResponseCache(host));

/** Makes the answer of one request, and says where it comes from. */
export function give(answer: Answer, state: 'HIT' | 'MISS', age: number, event: RequestEvent, out: Headers): Response {
  event.cache = state;
  Object.assign(event, answer.meta);
  out.set('x-cache', state);
  if (state === 'HIT') out.set('age', String(age));
  return new Response(answer.bytes, { status: answer.status, headers: answer.headers });
}
