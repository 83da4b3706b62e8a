/** Settings by environment variables, checked at start. */
import * as v from 'valibot';

/** A number that the environment gives as text. */
const number = (name: string, fallback: number, least = 0) =>
  v.optional(
    v.pipe(
      v.string(),
      v.regex(/^\d{1,15}$/, `${name}: a whole number`),
      v.transform(Number),
      v.minValue(least, `${name}: at least ${least}`),
    ),
    String(fallback),
  );

const list = v.optional(
  v.pipe(
    v.string(),
    v.transform((text) => text.split(/[\s,]+/).filter(Boolean)),
  ),
  '',
);

/** An address on the network, over TLS unless it is of this machine. */
const secured = (name: string) =>
  v.optional(
    v.pipe(
      v.string(),
      v.check((text) => isSecured(text), `${name}: an address that starts with https://, or http:// of this machine`),
    ),
  );

function isSecured(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  const isLoopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
  // `fetch` refuses an address with a user in it.
  return (protocol === 'https:' || (protocol === 'http:' && isLoopback)) && username === '' && password === '';
}

/** An address whose scheme is one of these. */
const address = (name: string, schemes: readonly string[]) =>
  v.optional(
    v.pipe(
      v.string(),
      v.check(
        (text) => schemes.some((scheme) => text.startsWith(`${scheme}://`)) && URL.canParse(text),
        `${name}: an address that starts with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`,
      ),
    ),
  );

const schema = v.object({
  /** Origins that browsers may call from, exactly as they write them. */
  CORS_ORIGINS: list,
  /** Paths that need no key though they do by default: `docs`, `openapi.json`, `metrics`. */
  PUBLIC: v.pipe(
    list,
    v.everyItem((path) => ['docs', 'openapi.json', 'metrics'].includes(path), 'PUBLIC: docs, openapi.json or metrics'),
  ),
  /** `owner`: an answer is found in the cache only by keys of the owner who caused it. `global`: by all. */
  CACHE_SCOPE: v.optional(v.picklist(['owner', 'global'], 'CACHE_SCOPE: owner or global'), 'owner'),
  CACHE_SECONDS: number('CACHE_SECONDS', 86_400),
  /** Days for which predictions, usage and files of batches are kept. */
  HISTORY_DAYS: number('HISTORY_DAYS', 30, 1),
  USAGE_DAYS: number('USAGE_DAYS', 400, 1),
  FILES_DAYS: number('FILES_DAYS', 30, 1),
  LOG_LEVEL: v.optional(v.picklist(['silent', 'error', 'info'], 'LOG_LEVEL: silent, error or info'), 'info'),
  /** The JWKS of an identity provider whose tokens are taken beside keys, and what they must say. */
  AUTH_JWKS: secured('AUTH_JWKS'),
  AUTH_AUDIENCE: v.optional(v.string()),
  AUTH_ISSUER: v.optional(v.string()),
  /** The service that is told of training data. Its token, a secret, is RETRAIN_TOKEN. */
  RETRAIN_URL: secured('RETRAIN_URL'),
  /** MiB that models may take together; a model that needs more by itself is not loaded. */
  MAX_MEMORY_MB: number('MAX_MEMORY_MB', 128, 16),
  /** The folder, bucket or host that has the models whose `source` names none. */
  MODEL_PATH: v.optional(v.string()),
  PORT: v.pipe(number('PORT', 8787), v.maxValue(65_535, 'PORT: at most 65535')),
  HOST: v.optional(v.string(), '127.0.0.1'),

  // Only servers read the settings below; in a Worker bindings take their place.
  /** The folder of the SQLite file and of the blobs. */
  DATA_PATH: v.optional(v.string(), 'data'),
  /** A Postgres database in place of the SQLite file. */
  DATABASE_URL: address('DATABASE_URL', ['postgres', 'postgresql']),
  /** A Redis server for limits that several processes share. It must forget nothing: `maxmemory-policy noeviction`. */
  REDIS_URL: address('REDIS_URL', ['redis', 'rediss', 'unix']),
  /** Another one, which may forget, for cached answers that they share. */
  CACHE_REDIS_URL: address('CACHE_REDIS_URL', ['redis', 'rediss', 'unix']),
  /** A bucket in place of the folder of blobs. Its secrets are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. */
  S3_ENDPOINT: address('S3_ENDPOINT', ['https', 'http']),
  S3_BUCKET: v.optional(v.string()),
  S3_REGION: v.optional(v.string(), 'auto'),
  /** MiB of memory for cached answers where there is no CACHE_REDIS_URL. */
  CACHE_MB: number('CACHE_MB', 32, 1),
  /** The header in which a proxy tells the client's address; without one it is the connection's. */
  ADDRESS_HEADER: v.optional(v.pipe(v.string(), v.regex(/^[\w-]+$/, 'ADDRESS_HEADER: the name of a header'))),
  /** Seconds that requests have to end in after a signal to stop. */
  DRAIN_SECONDS: number('DRAIN_SECONDS', 25),
});

export type Settings = Readonly<v.InferOutput<typeof schema>>;

/** The error of a variable that is not as it should be. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly variable: string;

  constructor(message: string, variable = message.split(':', 1)[0] as string) {
    super(message);
    this.variable = variable;
  }
}

/**
 * Reads the settings.
 * @throws {SettingsError} naming the first variable that is not as it should be
 */
export function readSettings(environment: Record<string, unknown>): Settings {
  const given = Object.fromEntries(
    Object.keys(schema.entries)
      .filter((name) => typeof environment[name] === 'string' && environment[name] !== '')
      .map((name) => [name, environment[name]]),
  );
  const result = v.safeParse(schema, given);
  if (!result.success) throw new SettingsError(result.issues[0].message);
  const settings = result.output;
  if ((settings.S3_BUCKET === undefined) !== (settings.S3_ENDPOINT === undefined)) {
    throw new SettingsError('S3_BUCKET and S3_ENDPOINT: both or neither', 'S3_BUCKET');
  }
  if (settings.AUTH_JWKS !== undefined && settings.AUTH_AUDIENCE === undefined) {
    throw new SettingsError('AUTH_AUDIENCE: needed beside AUTH_JWKS, or tokens for other services would be taken');
  }
  return settings;
}
