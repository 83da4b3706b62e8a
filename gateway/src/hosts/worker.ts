/** The handlers of a Worker. The files beside this one choose the models that a Worker has the code of. */
import { waitUntil } from 'cloudflare:workers';
import type { D1Database, MessageBatch, Queue, R2Bucket, RateLimit } from '@cloudflare/workers-types';
import modelsText from '../../models.jsonc';
import { createGateway } from '../app.ts';
import type { Host } from '../host.ts';
import { report } from '../http/log.ts';
import { bury, consume } from '../jobs/consume.ts';
import { readConfig } from '../models/config.ts';
import type { Loaders } from '../models/local/loader.ts';
import { createModels } from '../models/registry.ts';
import type { Places } from '../models/sources.ts';
import { ApiCache } from '../parts/cache-api.ts';
import { CloudflareQueue, deliver } from '../parts/cloudflare-queue.ts';
import { D1Sql } from '../parts/d1.ts';
import { type Analytics, type Collector, RecordedEvents } from '../parts/events.ts';
import { type KeyMeterNamespace, ObjectMeter } from '../parts/key-meter.ts';
import { R2Blobs } from '../parts/r2.ts';
import { retention } from '../retention.ts';
import { readSettings } from '../settings.ts';
import { placesOf } from './places.ts';

/** The bindings that the gateway knows. Secrets and other Workers are found by the names that `models.jsonc` gives them. */
export interface Env {
  DB: D1Database;
  R2: R2Bucket;
  WORK: Queue;
  METER: KeyMeterNamespace;
  METRICS: { getByName(name: string): Collector };
  AUTH_RL?: RateLimit;
  AE?: Analytics;
  /** The text of a `models.jsonc`, in place of the one in the bundle. */
  MODELS?: string;
  [name: string]: unknown;
}

interface Open {
  host: Host;
  app: ReturnType<typeof createGateway>;
}

/** Makes the handlers of a Worker. `places`: the places of files of models beside its bindings. */
export function createWorker(loaders: Loaders, places: Places = {}) {
  // Bindings are the same for all requests of an isolate, so it has one host. Nothing is opened before the first request.
  let open: Open | undefined;
  const opened = (env: Env): Open => {
    if (!open) {
      const host = openHost(env, loaders, places);
      open = { host, app: createGateway(host) };
    }
    return open;
  };

  return {
    async fetch(request: Request, env: Env): Promise<Response> {
      return opened(env).app.fetch(request);
    },

    async queue(batch: MessageBatch<unknown>, env: Env): Promise<void> {
      const { host } = opened(env);
      const isDead = batch.queue.endsWith('dead');
      await deliver(batch, (message, attempt) => (isDead ? bury(host, message) : consume(host, message, attempt)), {
        report: (error, { topic }) => report(host.settings, topic, error),
      });
      await host.events.flush();
    },

    async scheduled({ scheduledTime }: { scheduledTime: number }, env: Env): Promise<void> {
      const { host } = opened(env);
      await retention(host, { now: scheduledTime });
      await host.events.flush();
    },
  };
}

function openHost(env: Env, loaders: Loaders, places: Places): Host {
  const settings = readSettings(env);
  const sql = new D1Sql(env.DB);
  const { AUTH_RL, AE } = env;
  const common = {
    settings,
    sql,
    blobs: new R2Blobs(env.R2),
    events: new RecordedEvents(sql, { collector: collectorOf(env), ...(AE ? { analytics: AE } : {}) }),
    // The request that is served at that moment holds the work; otherwise the work would end with its client.
    hold: (promise: Promise<unknown>) => waitUntil(promise.catch((error) => report(settings, 'held', error))),
    secret: (name: string) => secretOf(env[name]),
    service: (name: string) => serviceOf(env[name]),
  };
  return {
    ...common,
    queue: new CloudflareQueue(env.WORK),
    meter: new ObjectMeter(env.METER),
    cache: new ApiCache(),
    models: createModels(readConfig(env.MODELS ?? modelsText), {
      ...common,
      loaders,
      places: { ...placesOf(env), ...places },
    }),
    clientAddress: (request) => request.headers.get('cf-connecting-ip') ?? '',
    ...(AUTH_RL ? { allowFailure: async (key: string) => (await AUTH_RL.limit({ key })).success } : {}),
  };
}

/** The object that adds up what isolates count. A stub belongs to the request that made it, so each call makes one. */
function collectorOf({ METRICS }: Env): Collector {
  return {
    add: (samples) => METRICS.getByName('all').add(samples),
    render: () => METRICS.getByName('all').render(),
  };
}

/** The value of a variable or a secret of the Worker, or of a secret of the Secrets Store. */
async function secretOf(binding: unknown): Promise<string | undefined> {
  if (typeof binding === 'string') return binding;
  const { get } = Object(binding) as { get?: () => Promise<string> };
  return typeof get === 'function' ? get.call(binding) : undefined;
}

function serviceOf(binding: unknown): ((request: Request) => Promise<Response>) | undefined {
  const { fetch } = Object(binding) as { fetch?: (request: Request) => Promise<Response> };
  return typeof fetch === 'function' ? (request) => fetch.call(binding, request) : undefined;
}
