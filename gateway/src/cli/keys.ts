/** The commands `mint`, `rotate` and `revoke`. */
import type { Sql } from '../host.ts';
import { formatKey, type Limits, makeKey, randomText, sha256 } from '../keys.ts';
import { SCOPES, type Scope } from '../operation.ts';
import { revokeKey, rotateKey } from '../tables/keys.ts';
import { DAY_MS, HOUR_MS } from '../time.ts';
import { UsageError } from './usage-error.ts';

/** The words of `mint`, as they were typed. */
export interface MintWords {
  name?: string | undefined;
  owner?: string | undefined;
  scopes?: string | undefined;
  models?: string | undefined;
  history?: string | undefined;
  days?: string | undefined;
  rpm?: string | undefined;
  tpm?: string | undefined;
  tpd?: string | undefined;
  concurrency?: string | undefined;
}

/** Makes a key, with the statement that keeps it. */
export async function newKey(words: MintWords): ReturnType<typeof makeKey> {
  const { name = 'cli', owner, models, history = 'off' } = words;
  if (history !== 'off' && history !== 'meta' && history !== 'full') {
    throw new UsageError(`--history is off, meta or full, not ${history}`);
  }
  const limits: Limits = {};
  for (const limit of ['rpm', 'tpm', 'tpd', 'concurrency'] as const) {
    const value = whole(limit, words[limit]);
    if (value !== undefined) limits[limit] = value;
  }
  const days = whole('days', words.days);
  return makeKey({
    name,
    owner,
    scopes: scopesOf(words.scopes),
    limits,
    models: models === undefined ? null : names(models),
    history,
    expiresAt: days === undefined ? null : Date.now() + days * DAY_MS,
  });
}

/** Gives a key another secret, and its new text; the old one holds for some hours more. */
export async function rotate(sql: Sql, id: string, hours: string | undefined): Promise<string> {
  const secret = randomText(32);
  const until = Date.now() + (whole('hours', hours, 0) ?? 24) * HOUR_MS;
  if (await rotateKey(sql, id, sha256(secret), until)) return formatKey(id, secret);
  throw new Error(`there is no key ${id}, or it is revoked: \`mint\` makes another`);
}

export async function revoke(sql: Sql, id: string): Promise<void> {
  if (!(await revokeKey(sql, id, Date.now()))) throw new Error(`there is no key ${id}`);
}

/** The id in a key's text, or the id itself. */
export function idOf(word: string | undefined): string {
  const id = /^pl_([0-9A-Za-z]{12})_/.exec(word ?? '')?.[1] ?? word;
  if (id === undefined || !/^[0-9A-Za-z]{12}$/.test(id)) {
    throw new UsageError('the id of a key is missing: its 12 characters behind pl_');
  }
  return id;
}

const names = (words: string): string[] => words.split(/[\s,]+/).filter(Boolean);

function scopesOf(words: string | undefined): Scope[] {
  if (words === undefined) return SCOPES.filter((scope) => scope !== 'admin' && scope !== 'metrics');
  if (words === 'all') return [...SCOPES];
  const isScope = (word: string): word is Scope => (SCOPES as readonly string[]).includes(word);
  const given = names(words);
  const unknown = given.find((word) => !isScope(word));
  if (unknown !== undefined)
    throw new UsageError(`--scopes: there is no ${unknown}; there are all, ${SCOPES.join(', ')}`);
  return given.filter(isScope);
}

function whole(name: string, word: string | undefined, least = 1): number | undefined {
  if (word === undefined) return undefined;
  if (!/^\d{1,12}$/.test(word) || Number(word) < least)
    throw new UsageError(`--${name} is a whole number from ${least}`);
  return Number(word);
}
