/** API keys: their text, their records, and how they are made. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { crc32 } from './bytes.ts';
import type { Sql, Statement } from './host.ts';
import type { Scope } from './operation.ts';
import { insertKey } from './tables/keys.ts';

/** Limits of a key; one that is absent does not hold. */
export interface Limits {
  /** Requests a minute. */
  rpm?: number;
  /** Tokens a minute and a day. */
  tpm?: number;
  tpd?: number;
  /** Requests that run at the same time. */
  concurrency?: number;
}

/** The caller of a request: a key, or a token of an identity provider, after it was checked. */
export interface Key {
  id: string;
  name: string;
  owner: string;
  scopes: readonly Scope[];
  limits: Limits;
  /** The models that the key may use; all where it is null. */
  models: readonly string[] | null;
  /** The part of its predictions that the history keeps: nothing, all but the input, or all. */
  history: 'off' | 'meta' | 'full';
}

/** Whether a key may use a model. */
export const mayUse = ({ models }: Key, model: string): boolean => models === null || models.includes(model);

/** A key as the database keeps it. Times are milliseconds since 1970. */
export interface KeyRecord extends Key {
  /** SHA-256 of the secret, hexadecimal. */
  hash: string;
  /** That of the secret before a rotation, which holds until `oldHashUntil`. */
  oldHash: string | null;
  oldHashUntil: number | null;
  createdAt: number;
  expiresAt: number | null;
  revokedAt: number | null;
}

/**
 * `pl_`, an id of 12 characters, `_`, a secret of 32, `_`, a checksum of 6. A scanner of leaked secrets finds a key by this expression, and
 * garbage is refused by the checksum, without a look into the database.
 */
export const KEY_PATTERN = /^pl_([0-9A-Za-z]{12})_([0-9A-Za-z]{32})_([0-9A-Za-z]{6})$/;

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Characters of base 62, each as likely as any other. */
export function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of crypto.getRandomValues(new Uint8Array(length * 2))) {
      // 248 is the largest multiple of 62 that a byte can hold; the rest would make the first digits likelier.
      if (byte < 248 && text.length < length) text += DIGITS[byte % 62];
    }
  }
  return text;
}

/** CRC-32 of a text, as six digits of base 62. */
function checksum(text: string): string {
  let rest = crc32(new TextEncoder().encode(text));
  let digits = '';
  for (let at = 0; at < 6; at += 1) {
    digits = DIGITS[rest % 62] + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

/** The text of a key. */
export function formatKey(id: string, secret: string): string {
  const front = `pl_${id}_${secret}`;
  return `${front}_${checksum(front)}`;
}

/** The parts of a key; undefined where the text is none, or its checksum is wrong. */
export function parseKey(text: string): { id: string; secret: string } | undefined {
  const match = KEY_PATTERN.exec(text);
  if (!match) return undefined;
  const [, id, secret] = match as unknown as [string, string, string];
  return formatKey(id, secret) === text ? { id, secret } : undefined;
}

/** SHA-256 of a text, hexadecimal. Secrets have 190 random bits, so a slow hash would protect nothing more. */
export function sha256(text: string): string {
  // `crypto.subtle` hashes on another thread in Node. For a key or a short text, handing the work over takes longer than hashing, and a long
  // body keeps this thread for less time than parsing it does.
  return createHash('sha256').update(text).digest('hex');
}

/** Compares two hexadecimal digests in a time that does not depend on where they differ. */
export function equalDigests(a: string, b: string): boolean {
  const encoder = new TextEncoder();
  const [left, right] = [encoder.encode(a), encoder.encode(b)];
  return left.byteLength === right.byteLength && timingSafeEqual(left, right);
}

export interface NewKey {
  name: string;
  /** The owner of its files, batches and indexes; default the key itself, by its id. */
  owner?: string | undefined;
  scopes: readonly Scope[];
  limits?: Limits;
  models?: readonly string[] | null;
  history?: Key['history'];
  /** Milliseconds since 1970. */
  expiresAt?: number | null;
}

/** Makes a key, with the statement that keeps it. The text of the key is in no other place, and is lost if it is not shown now. */
export async function makeKey(
  options: NewKey,
  now = Date.now(),
): Promise<{ key: string; record: KeyRecord; statement: Statement }> {
  const id = randomText(12);
  const secret = randomText(32);
  const record: KeyRecord = {
    id,
    hash: sha256(secret),
    oldHash: null,
    oldHashUntil: null,
    name: options.name,
    owner: options.owner ?? id,
    scopes: options.scopes,
    limits: options.limits ?? {},
    models: options.models ?? null,
    history: options.history ?? 'off',
    createdAt: now,
    expiresAt: options.expiresAt ?? null,
    revokedAt: null,
  };
  return { key: formatKey(id, secret), record, statement: insertKey(record) };
}

/** Makes a key and keeps it. */
export async function mintKey(sql: Sql, options: NewKey): Promise<{ key: string; record: KeyRecord }> {
  const { key, record, statement } = await makeKey(options);
  await sql.batch([statement]);
  return { key, record };
}
