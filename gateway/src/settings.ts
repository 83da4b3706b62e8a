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

const schema = v.object({
  /** Origins that browsers may call from, exactly as they write them. */
  CORS_ORIGINS: list,
  /** `owner`: an answer is found in the cache only by keys of the owner who caused it. `global`: by all. */
  CACHE_SCOPE: v.optional(v.picklist(['owner', 'global'], 'CACHE_SCOPE: owner or global'), 'owner'),
  CACHE_SECONDS: number('CACHE_SECONDS', 86_400),
  /** Days for which predictions, usage and files of batches are kept. */
  HISTORY_DAYS: number('HISTORY_DAYS', 30, 1),
  USAGE_DAYS: number('USAGE_DAYS', 400, 1),
  FILES_DAYS: number('FILES_DAYS', 30, 1),
  LOG_LEVEL: v.optional(v.picklist(['silent', 'error', 'info'], 'LOG_LEVEL: silent, error or info'), 'info'),
  /** The JWKS of an identity provider whose tokens are taken beside keys, and what they must say. */
  AUTH_JWKS: v.optional(v.pipe(v.string(), v.url('AUTH_JWKS: an address'))),
  AUTH_AUDIENCE: v.optional(v.string()),
  AUTH_ISSUER: v.optional(v.string()),
  /** MiB that models may take together; a model that needs more is refused at start. */
  MAX_MEMORY_MB: number('MAX_MEMORY_MB', 128, 16),
  /** Where models are: the folder, bucket or host that `models.jsonc` leaves open. */
  MODEL_PATH: v.optional(v.string()),
  PORT: number('PORT', 8787, 0),
  HOST: v.optional(v.string(), '127.0.0.1'),
});

export type Settings = Readonly<v.InferOutput<typeof schema>>;

/**
 * Reads the settings.
 * @throws {Error} naming the first variable that is not as it should be
 */
export function readSettings(environment: Record<string, unknown>): Settings {
  const given = Object.fromEntries(
    Object.keys(schema.entries)
      .filter((name) => typeof environment[name] === 'string' && environment[name] !== '')
      .map((name) => [name, environment[name]]),
  );
  const result = v.safeParse(schema, given);
  if (!result.success) throw new Error(result.issues[0].message);
  return result.output;
}
