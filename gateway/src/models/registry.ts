/** All models of a deployment: those of `models.jsonc`, here or on other servers, and the heads that administrators put on them. */
import type { Host } from '../host.ts';
import type { GatewayError } from '../http/errors.ts';
import type { HeadRow } from '../tables/heads.ts';
import { untilLeft } from '../waiting.ts';
import { Catalog, factsOf, isBare } from './catalog.ts';
import type { LocalEntry, ModelsConfig, RemoteEntry, UpstreamEntry } from './config.ts';
import { callError, isPackageError, isUnavailable, loadError, notLoaded } from './errors.ts';
import { Heads } from './heads.ts';
import { blobStore } from './local/blob-store.ts';
import { Compute } from './local/compute.ts';
import { openFiles, packedBytes } from './local/files.ts';
import type { HeadBase, Loaded, Loaders, LoadRequest } from './local/loader.ts';
import type { CallContext, Model, ModelInfo, Models, Task } from './model.ts';
import { DIGITS_BYTES, type LoadPlan, type Slot, Slots } from './slots.ts';
import type { Places } from './sources.ts';
import { Upstream } from './upstream/client.ts';
import { METHODS, remoteCalls, remoteOf } from './upstream/kinds.ts';

/** The parts of the host that models use, before there is a host. `hold` is called while a request is served. */
export interface ModelParts
  extends Pick<Host, 'settings' | 'sql' | 'blobs' | 'events' | 'hold' | 'secret'>,
    Partial<Pick<Host, 'service'>> {
  /** The loaders that are in the bundle. */
  loaders: Loaders;
  /** Places of files beside `blobs:`, such as `folder:`. */
  places?: Places;
}

/** The fallback of a local model. */
interface Elsewhere {
  calls: Omit<Model, 'info'>;
  upstream: Upstream;
}

/** A head that is checked before it is kept. */
export type HeadDraft = Omit<HeadRow, 'digest' | 'createdAt'>;

export class Registry implements Models {
  readonly config: ModelsConfig;
  readonly heads: Heads;
  readonly #parts: ModelParts;
  readonly catalog: Catalog;
  readonly #compute: Compute;
  readonly #slots: Slots;
  readonly #upstreams = new Map<string, Upstream>();
  /** The times until which models whose load failed are left to their fallbacks. */
  readonly #failed = new Map<string, number>();

  constructor(config: ModelsConfig, parts: ModelParts) {
    this.config = config;
    this.#parts = parts;
    const hold = (promise: Promise<unknown>) => parts.hold(promise);
    const { blobs, settings } = parts;
    const inBlobs = (path: string) => ({ place: blobs, prefix: path });
    this.heads = new Heads(parts);
    this.#compute = new Compute(hold, (tokens) => parts.events.observe('queue_tokens', tokens));
    this.#slots = new Slots(settings.MAX_MEMORY_MB * 2 ** 20, hold);
    this.catalog = new Catalog({
      config,
      heads: this.heads,
      places: { blobs: inBlobs, r2: inBlobs, ...parts.places },
      modelPath: settings.MODEL_PATH,
      hold,
      loaded: (id, entry) => this.#slots.loaded(keyOf(id, entry)),
    });
    for (const [name, entry] of Object.entries(config.upstreams))
      this.#upstreams.set(name, this.#upstream(name, entry));
  }

  get queuedTokens(): number {
    return this.#compute.queuedTokens;
  }

  list(): Promise<ModelInfo[]> {
    return this.catalog.list();
  }

  async get(id: string, task: Task, context: CallContext): Promise<Model> {
    const entry = this.catalog.entry(id);
    if (entry && !isBare(entry)) {
      if (entry.task !== task) throw await this.catalog.notFound(id, task, `is for ${entry.task}, not ${task}`);
      const info = await this.catalog.info(id, entry);
      return entry.run === 'local' ? this.#local(id, entry, info, context) : this.#remote(id, entry, info);
    }
    const row = await this.heads.find(id);
    if (!row) throw await this.catalog.notFound(id, task, 'does not exist');
    const isClassifier = row.task !== 'detect';
    if (isClassifier ? task !== 'classify' && task !== 'route' : task !== 'detect')
      throw await this.catalog.notFound(id, task, `is for ${row.task}, not ${task}`);
    return this.#head(row, task, await this.catalog.headInfo(row), context);
  }

  states(): ReturnType<Models['states']> {
    return Object.entries(this.config.models).map(([id, entry]) => {
      const name = entry.run === 'local' ? entry.fallback : upstreamOf(entry);
      const upstream = name === undefined ? undefined : this.#upstreams.get(name);
      const loaded = entry.run !== 'local' || this.#slots.isLoaded(keyOf(id, entry));
      return { id, loaded, ...(upstream && { breaker: upstream.state }) };
    });
  }

  /**
   * Loads a head that is not kept yet, to see whether it fits its model.
   * @throws {GatewayError} `invalid_request` saying what is wrong with it, `model_not_loaded`
   */
  async tryHead(draft: HeadDraft, json: object, context: CallContext): Promise<void> {
    const key = `trial ${crypto.randomUUID()}`;
    const slot = this.#slots.open(
      key,
      this.#headPlan(draft, async () => json),
    );
    try {
      await untilLeft(slot.loading, context.signal);
    } catch (error) {
      // The administrator who sent the JSON is told the package's own message about it.
      throw isPackageError(error) ? callError(error) : loadError(draft.model, error);
    } finally {
      this.#slots.drop(slot);
    }
  }

  /** Forgets what is loaded of a head that was changed or deleted. */
  forgetHead(name: string): void {
    this.heads.forget();
    this.#slots.dropAll(`head ${name} `);
  }

  /** The MiB that a local model takes, by `models.jsonc` or by a plan. */
  async memoryOf(id: string): Promise<number> {
    const entry = this.catalog.entry(id);
    if (entry?.run !== 'local') return 0;
    return Math.ceil((await this.#memory(id, entry)) / 2 ** 20);
  }

  async #local(id: string, entry: LocalEntry, info: ModelInfo, context: CallContext): Promise<Model> {
    const fallback = this.#fallback(id, entry);
    if (fallback && Date.now() < (this.#failed.get(id) ?? 0))
      return this.#model(info, METHODS[entry.task], undefined, fallback);
    try {
      const slot = await this.#ready(() => this.#open(id, entry), id, context);
      const full = { ...info, ...factsOf(slot.loaded as Loaded) };
      return this.#model(full, METHODS[entry.task], () => this.#open(id, entry), fallback);
    } catch (error) {
      if (!fallback || !isUnavailable(error)) throw error;
      this.#failed.set(id, Date.now() + AGAIN_MS);
      return this.#model(info, METHODS[entry.task], undefined, fallback);
    }
  }

  #fallback(id: string, { fallback, dimensions, prompt, task }: LocalEntry): Elsewhere | undefined {
    const upstream = fallback === undefined ? undefined : this.#upstreams.get(fallback);
    if (!upstream) return;
    return { upstream, calls: remoteCalls(task, upstream, remoteOf(id, { dimensions, prompt }, upstream)) };
  }

  #remote(id: string, entry: RemoteEntry, info: ModelInfo): Model {
    const name = upstreamOf(entry);
    let upstream = this.#upstreams.get(name);
    if (!upstream && entry.run === 'service') {
      upstream = this.#upstream(name, serviceEntry(entry.service, entry.secret));
      this.#upstreams.set(name, upstream);
    }
    if (!upstream) throw notLoaded(`The model "${id}" names no upstream.`);
    const calls = remoteCalls(entry.task, upstream, remoteOf(id, entry, upstream));
    return { info, upstream: upstream.name, ...calls };
  }

  async #head(row: HeadRow, task: Task, info: ModelInfo, context: CallContext): Promise<Model> {
    const open = (): Slot =>
      this.#slots.open(
        `head ${row.name} ${row.digest}`,
        this.#headPlan(row, () => this.heads.json(row)),
      );
    await this.#ready(open, row.name, context);
    const isRemote = this.catalog.entry(row.model)?.run !== 'local';
    return this.#model({ ...info, run: isRemote ? 'upstream' : 'local' }, METHODS[task], open, undefined);
  }

  #headPlan(draft: HeadDraft, read: () => Promise<object>): LoadPlan {
    let json: Promise<object> | undefined;
    const readOnce = () => {
      json ??= read();
      return json;
    };
    return {
      // A head is small beside its model; a classifier of whole texts is loaded with its head.
      memory: async () => {
        const entry = this.catalog.entry(draft.model);
        return isOnClassifier(await readOnce()) && entry?.run === 'local' ? this.#memory(draft.model, entry) : 0;
      },
      load: async (alive, slot) => this.#loadHead(draft, await readOnce(), alive, slot),
    };
  }

  async #loadHead({ task, model }: HeadDraft, json: object, alive: () => void, slot?: Slot): Promise<Loaded> {
    const { classifierHead, detectorHead } = this.#parts.loaders;
    const entry = this.catalog.entry(model);
    if (!entry) throw notLoaded(`The model "${model}", which the head is put on, is not in models.jsonc any more.`);
    if (task !== 'detect') {
      if (!classifierHead) throw missing(task);
      return classifierHead(await this.#headBase(model), json);
    }
    if (entry.run !== 'local') throw notLoaded(`The head is put on "${model}", which does not run here.`);
    if (isOnClassifier(json)) return this.#load(model, entry, alive, json);
    const base = this.#open(model, { ...entry, heads_only: true });
    if (slot) slot.under = base;
    const { decoder } = await base.loading;
    if (!detectorHead || !decoder) throw missing(task);
    return detectorHead(decoder, json, this.#compute);
  }

  async #headBase(id: string): Promise<HeadBase> {
    const embed: HeadBase['embed'] = async (texts, options, own) => {
      const model = await this.get(id, 'embed', own);
      // Every model for the task has it.
      return (model.embed as HeadBase['embed'])(texts, options, own);
    };
    // Others wait for the load of a head too, so it does not end with the request that began it.
    const context: CallContext = { signal: new AbortController().signal, requestId: crypto.randomUUID() };
    const { info } = await this.get(id, 'embed', context);
    const dimensions = info.dimensions ?? (await embed(['a'], {}, context)).dims[1];
    const entry = this.catalog.entry(id);
    const loaded = entry?.run === 'local' ? this.#slots.loaded(keyOf(id, entry)) : undefined;
    return { embedder: loaded?.embedder, dimensions, embed };
  }

  /** Waits for a slot, as long as the client does. */
  async #ready(open: () => Slot | Promise<Slot>, id: string, context: CallContext): Promise<Slot> {
    const slot = await open();
    if (slot.loaded) return slot;
    try {
      await untilLeft(slot.loading, context.signal);
      return slot;
    } catch (error) {
      throw loadError(id, error);
    }
  }

  #open(id: string, entry: LocalEntry): Slot {
    return this.#slots.open(keyOf(id, entry), {
      memory: () => this.#memory(id, entry),
      load: async (alive) => {
        const started = performance.now();
        const loaded = await this.#load(id, entry, alive).catch((error: unknown) => {
          this.catalog.forgetSource(id);
          throw error;
        });
        const seconds = (performance.now() - started) / 1000;
        this.#parts.events.observe('model_load_seconds', seconds, { model: id });
        return loaded;
      },
    });
  }

  async #load(id: string, entry: LocalEntry, alive: () => void, head?: object): Promise<Loaded> {
    const loader = this.#parts.loaders[loaderOf(entry)];
    if (!loader) throw missing(entry.task);
    // A detector is planned before it is loaded, and a tower is read from a file of two.
    const again = !['embed', 'rerank', 'classify'].includes(loaderOf(entry));
    const { close, ...request } = await this.#request(id, entry, again);
    try {
      request.options.onProgress = alive;
      return await loader({ ...request, compute: this.#compute, ...(head && { head }) });
    } finally {
      await close?.();
    }
  }

  async #memory(id: string, entry: LocalEntry): Promise<number> {
    if (entry.memory_mb !== undefined) return entry.memory_mb * 2 ** 20;
    if (entry.task === 'digits') return DIGITS_BYTES;
    const { at } = await this.catalog.source(id, entry);
    const packed = at && packedBytes(at.listing, wantedOf(entry));
    if (packed !== undefined) return packed + BESIDE_WEIGHTS;
    const { plan } = this.#parts.loaders;
    if (!plan) return 0;
    const { close, ...request } = await this.#request(id, entry, true);
    try {
      return await plan(request);
    } finally {
      await close?.();
    }
  }

  /** The request to a loader. `again`: whether the files are read more than once. */
  async #request(
    id: string,
    entry: LocalEntry,
    again: boolean,
  ): Promise<Omit<LoadRequest, 'compute'> & { close?: () => Promise<void> }> {
    if (entry.task === 'digits') return { entry, repository: '', options: {} };
    const { repository, host, at } = await this.catalog.source(id, entry);
    const { dtype = 'q8', revision, weights, secret, keep } = entry;
    const options: LoadRequest['options'] = {
      device: 'cpu',
      dtype,
      ...(revision !== undefined && { revision }),
      ...(weights !== undefined && { weights }),
    };
    if (at) {
      const { files, close } = await openFiles(at.place, at.prefix, { ...wantedOf(entry), again, listing: at.listing });
      const own = Object.keys(files).some((file) => file.endsWith('.gguf')) && weights === undefined;
      return {
        entry,
        repository,
        options: { ...options, files, store: false, ...(own && { weights: 'gguf' }) },
        close,
      };
    }
    const token = secret === undefined ? undefined : await this.#parts.secret(secret);
    if (secret !== undefined && !token)
      throw new Error(`the secret ${secret} of the model ${id} is not set: set a variable or a secret of this name`);
    return {
      entry,
      repository,
      options: {
        ...options,
        ...(host !== undefined && { host }),
        ...(token !== undefined && { token }),
        store: keep ? blobStore(this.#parts.blobs, 'store/') : false,
      },
    };
  }

  /** A model whose calls go to a slot, or where that cannot answer, to the fallback. */
  #model(
    info: ModelInfo,
    method: (typeof METHODS)[Task],
    open: (() => Slot | Promise<Slot>) | undefined,
    fallback: Elsewhere | undefined,
  ): Model {
    const model: { -readonly [K in keyof Model]: Model[K] } = { info };
    const elsewhere = (given: unknown[]): unknown => {
      model.info = { ...info, run: 'upstream' };
      model.upstream = fallback?.upstream.name;
      return callOf(fallback?.calls as Omit<Model, 'info'>, method)(...given);
    };
    const call = async (...given: unknown[]): Promise<unknown> => {
      if (!open) return elsewhere(given);
      try {
        return await this.#call(info.id, open, method, given);
      } catch (error) {
        if (!fallback || !isUnavailable(error)) throw error;
        return elsewhere(given);
      }
    };
    return Object.assign(model, { [method]: call });
  }

  async #call(
    id: string,
    open: () => Slot | Promise<Slot>,
    method: (typeof METHODS)[Task],
    given: unknown[],
  ): Promise<unknown> {
    const context = given.at(-1) as CallContext;
    for (let tries = 1; ; tries += 1) {
      const slot = await this.#ready(open, id, context);
      try {
        return await this.#slots.use(slot, ({ calls }) => callOf(calls, method)(...given));
      } catch (error) {
        const code = isPackageError(error) ? error.code : '';
        // After a trap the memory of the model is lost; one that was disposed of had to make room between two slices.
        if (code === 'INTERNAL' || code === 'DISPOSED') this.#slots.drop(slot);
        if (code !== 'DISPOSED' || tries === 2) throw callError(error);
      }
    }
  }

  #upstream(name: string, entry: UpstreamEntry): Upstream {
    return new Upstream(name, entry, this.#parts);
  }
}

/** Milliseconds between tries of a load that failed, while there is a fallback: a try takes as long as a host is silent. */
const AGAIN_MS = 10_000;

/** The bytes of the tokenizer, and of the buffers of 512 tokens. */
const BESIDE_WEIGHTS = 16 << 20;

const wantedOf = ({ dtype = 'q8', weights, task, tower }: LocalEntry) => ({
  dtype,
  weights,
  tower: task === 'embed-image' ? ('image' as const) : tower,
});

const keyOf = (id: string, entry: LocalEntry): string => `${loaderOf(entry)} ${id}`;

/** The loader of a model. No model of `models.jsonc` is for `route`, which is a head. */
function loaderOf({
  task,
  heads_only: headsOnly,
  tower,
}: LocalEntry): Exclude<keyof Loaders, 'plan' | `${string}Head`> {
  if (headsOnly) return 'decoder';
  return tower === undefined ? (task as Exclude<Task, 'route'>) : 'textTower';
}

const upstreamOf = (entry: RemoteEntry): string =>
  entry.run === 'service' ? ['service', entry.service, entry.secret].join(' ').trim() : entry.upstream;

/** The upstream of a model that runs in another Worker of the account, which is this gateway. */
const serviceEntry = (service: string, secret: string | undefined): UpstreamEntry => ({
  kind: 'gateway',
  service,
  secret,
  timeout_ms: 30_000,
  tries: 2,
  concurrency: 32,
  batch: 256,
  breaker: { failures: 5, seconds: 10 },
});

const missing = (task: string): GatewayError =>
  notLoaded(`This deployment has no code for ${task}: it has to run elsewhere.`);

/** Whether a detector's JSON is for a classifier of whole texts. */
const isOnClassifier = (json: object): boolean => (json as { features?: unknown }).features === 'classifier';

type Call = (...given: unknown[]) => Promise<unknown>;

function callOf(calls: Omit<Model, 'info'>, method: (typeof METHODS)[Task]): Call {
  const call = calls[method] as Call | undefined;
  if (!call) throw notLoaded(`The model cannot ${method}.`);
  return call;
}

/** The models of a deployment. */
export const createModels = (config: ModelsConfig, parts: ModelParts): Registry => new Registry(config, parts);
