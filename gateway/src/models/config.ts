/** The schema of `models.jsonc`, which lists the models, the place where each runs, and the servers for those that do not run here. */
import * as v from 'valibot';
import { fields, name, text, whole } from '../schemas.ts';
import { parseJsonc } from './jsonc.ts';

export const TASKS = ['embed', 'embed-image', 'classify', 'route', 'rerank', 'detect', 'digits'] as const;

const seconds = (least: number) => v.pipe(v.number('seconds'), v.minValue(least, `at least ${least} seconds`));

/** The name of an environment variable, a secret or a binding. */
const variable = v.pipe(text, v.regex(/^[A-Z][A-Z0-9_]*$/, 'the name of a secret or a binding, in capitals'));

/** The name of a repository, as the hub has it. */
const repository = v.pipe(text, v.regex(/^[\w.-]+(\/[\w.-]+)?$/, 'the name of a repository, such as "org/name"'));

/** The fields that every model has, wherever it runs. */
const common = {
  task: v.picklist(TASKS, `one of ${TASKS.join(', ')}`),
  /** The dimensions of a vector, for `/v1/models` before the model is loaded, and to check the answers of upstreams. */
  dimensions: v.optional(whole(1, 65_536)),
  max_tokens: v.optional(whole(1, 1_000_000)),
  /** The most items, and about the most tokens, of one request. */
  max_items: v.optional(whole(1, 2048), 256),
  max_tokens_request: v.optional(whole(1, 10_000_000), 65_536),
  /** The prompt before each text, for models that were trained with prompts: its name in the repository, or its own text. */
  prompt: v.optional(text),
  /** Changes the digest of the model, so that no cached answer of before is found. */
  version: v.optional(text),
};

const local = fields({
  ...common,
  run: v.literal('local', 'local, upstream or service'),
  /**
   * The source of the files: a repository of the hub, such as `org/name`; `https://host/org/name` of another host; or a place of this
   * deployment with a prefix of its files, such as `blobs:models/org/name` or `folder:/srv/models/org/name`. Digits need none.
   */
  source: v.optional(v.pipe(text, v.minLength(1, 'a repository, an address or a place'))),
  /** The name of the repository that the files are of, for heads that were fitted to it; default the end of `source`. */
  repository: v.optional(repository),
  revision: v.optional(text),
  dtype: v.optional(v.picklist(['f32', 'f16', 'q8', 'q4'], 'f32, f16, q8 or q4')),
  layers: v.optional(whole(1, 1000)),
  weights: v.optional(text),
  /** The secret with the token of the host of `source`, which is sent to it alone. */
  secret: v.optional(variable),
  /** Keeps what comes from a host in the blobs, so that the next start asks the host for nothing. */
  keep: v.optional(v.boolean('true or false'), false),
  /** MiB of memory that the model takes; without it a plan is made before the load. */
  memory_mb: v.optional(whole(1, 65_536)),
  /** The upstream that answers where the model cannot load, or has too many tokens waiting. */
  fallback: v.optional(name),
  /** `text`: the model is the encoder of texts of CLIP or SigLIP, in whose space images are found by words. */
  tower: v.optional(v.literal('text', '"text"')),
  /** For a decoder that serves only the detectors that were fitted to it by layers: it has no answers of its own. */
  heads_only: v.optional(v.boolean('true or false'), false),
});

/** The fields of a model on a server: its name there, and its detector. */
const remote = {
  model: v.optional(v.pipe(text, v.minLength(1, 'the name of a model'))),
  /** For upstreams of the kind `analyze`. */
  layer: v.optional(whole(0, 1000)),
  classifier: v.optional(text),
};

const upstreamed = fields({ ...common, ...remote, run: v.literal('upstream'), upstream: name });
const serviced = fields({
  ...common,
  ...remote,
  run: v.literal('service'),
  /** The binding of another Worker of the account that is this gateway. */
  service: variable,
  /** The secret with a key of that gateway. */
  secret: v.optional(variable),
});

const entry = v.variant('run', [local, upstreamed, serviced], '"run": local, upstream or service');

/** The hosts that may be reached without TLS. */
const LOCAL_HOST = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|[\w-]+|[\w.-]+\.(internal|local))$/;

const address = v.pipe(
  text,
  v.check((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol), 'an address'),
  v.check((value) => {
    const { protocol, hostname, username } = new URL(value);
    return username === '' && (protocol === 'https:' || LOCAL_HOST.test(hostname));
  }, 'an https address without a user; http is for hosts of a private network'),
);

export const KINDS = ['openai', 'gateway', 'analyze', 'hf'] as const;

const upstream = v.pipe(
  fields({
    /**
     * `openai`: `/embeddings` and `/rerank` under `url`. `gateway`: this gateway at another place, any task. `analyze`: a webhook that takes
     * `{text, model_name, layer, classifier_type}`. `hf`: feature extraction as the hub's inference servers have it.
     */
    kind: v.picklist(KINDS, `one of ${KINDS.join(', ')}`),
    /** With the path under which the routes are, such as `https://host/v1`; of `analyze` and `hf` the whole address. */
    url: v.optional(address),
    /** The binding of another Worker of the account, in place of `url`. */
    service: v.optional(variable),
    /** The secret that is sent as `authorization: Bearer`, to this server alone. */
    secret: v.optional(variable),
    /** The name of the model there, where the model itself gives none. */
    model: v.optional(v.pipe(text, v.minLength(1, 'the name of a model'))),
    /** Milliseconds of all tries together, waiting included. */
    timeout_ms: v.optional(whole(1, 600_000), 30_000),
    tries: v.optional(whole(1, 10), 3),
    /** Requests to it at the same time, of one isolate or process. */
    concurrency: v.optional(whole(1, 1000), 8),
    /** The most items of one request to it; what is longer goes in several. */
    batch: v.optional(whole(1, 2048), 32),
    /** After so many failures in a row it is left alone for so many seconds, and is then tried with one request. */
    breaker: v.optional(
      fields({ failures: v.optional(whole(1, 1000), 5), seconds: v.optional(seconds(0.01), 30) }),
      {},
    ),
  }),
  v.check(({ url, service }) => (url === undefined) !== (service === undefined), 'either url or service'),
);

const schema = fields({
  models: v.record(name, entry, 'models by their names'),
  upstreams: v.optional(v.record(name, upstream, 'upstreams by their names'), {}),
});

export type LocalEntry = v.InferOutput<typeof local>;
export type RemoteEntry = v.InferOutput<typeof upstreamed> | v.InferOutput<typeof serviced>;
export type ModelEntry = LocalEntry | RemoteEntry;
export type UpstreamEntry = v.InferOutput<typeof upstream>;

export interface ModelsConfig {
  models: Record<string, ModelEntry>;
  upstreams: Record<string, UpstreamEntry>;
}

/**
 * Reads the text of `models.jsonc`.
 * @throws {Error} naming the field that is not as it should be
 */
export function readConfig(jsonc: string): ModelsConfig {
  return checkConfig(parseJsonc(jsonc));
}

/** @throws {Error} naming the field that is not as it should be */
export function checkConfig(value: unknown): ModelsConfig {
  const result = v.safeParse(schema, value);
  if (!result.success) {
    const [issue] = result.issues;
    throw new Error(`models.jsonc: ${v.getDotPath(issue) ?? ''}: ${issue.message}`);
  }
  const config = result.output;
  for (const [id, model] of Object.entries(config.models)) {
    const problem = problemOf(model, config.upstreams);
    if (problem) throw new Error(`models.jsonc: models.${id}.${problem}`);
  }
  return config;
}

/** The problem of a model that the schema of one field cannot see. */
function problemOf(model: ModelEntry, upstreams: Record<string, UpstreamEntry>): string | undefined {
  if (model.run === 'local') {
    if (model.task === 'route') return 'task: a route is a head; put one to /admin/heads, on a model for embed';
    if (model.source === undefined && model.task !== 'digits')
      return 'source: is missing; it says where the files of the model are';
    if (model.heads_only && model.task !== 'detect') return 'heads_only: is for the task detect';
    if (model.tower !== undefined && model.task !== 'embed') return 'tower: is for the task embed';
    const { fallback } = model;
    if (fallback === undefined) return;
    const other = upstreams[fallback];
    return other ? unable(other, model.task, 'fallback') : unknown('fallback', fallback, upstreams);
  }
  if (model.run === 'service') return;
  const server = upstreams[model.upstream];
  return server ? unable(server, model.task, 'upstream') : unknown('upstream', model.upstream, upstreams);
}

const unknown = (field: string, given: string, upstreams: object): string =>
  `${field}: no upstream "${given}"; there are ${Object.keys(upstreams).join(', ') || 'none'}`;

/** The tasks that a kind of server can do. */
const ABLE: Record<UpstreamEntry['kind'], readonly string[]> = {
  openai: ['embed', 'rerank'],
  gateway: TASKS,
  analyze: ['detect'],
  hf: ['embed'],
};

const unable = ({ kind }: UpstreamEntry, task: string, field: string): string | undefined =>
  ABLE[kind].includes(task) ? undefined : `${field}: an upstream of kind ${kind} cannot do ${task}`;
