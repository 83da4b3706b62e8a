/** Authentication of requests, by an API key or by a token of an identity provider. */
import type { Host } from '../host.ts';
import { equalDigests, type Key, type KeyRecord, parseKey, sha256 } from '../keys.ts';
import { perHost } from '../per-host.ts';
import { findKey } from '../tables/keys.ts';
import { inTime } from '../waiting.ts';
import { GatewayError } from './errors.ts';
import { report } from './log.ts';
import { type Tokens, tokensOf } from './tokens.ts';

/** The milliseconds for which a record is believed, so that a revocation holds everywhere after at most 30 seconds. */
const KNOWN_MS = 30_000;
const UNKNOWN_MS = 10_000;
/** The least milliseconds between two reads of a record that a secret does not fit, as it may have been rotated elsewhere. */
const REREAD_MS = 1_000;
const RECORDS = 5_000;
/** The milliseconds that the database has for a record, where its caller does not say. */
const READ_MS = 5_000;
/** The blocked addresses that are remembered at most. */
const BLOCKED = 5_000;
/** The failures that an address may have within a minute. */
export const FAILURES = { name: 'failures', limit: 20, seconds: 60, cost: 1 } as const;
/** Names under which people put keys into addresses, where proxies log them and browsers remember them. */
const QUERY_NAMES = new Set(['key', 'api_key', 'apikey', 'api-key', 'x-api-key', 'access_token', 'token']);

/** The key of a request without a key, on routes that need none. */
export const NOBODY: Key = { id: '', name: '', owner: '', scopes: [], limits: {}, models: null, history: 'off' };

/**
 * The refusal of everything that is no valid key. It must not tell an expired key from one that never was. All refusals share it, as
 * each new error would have a stack made for it.
 */
const REFUSED = new GatewayError(
  'invalid_api_key',
  'No valid API key. Send one as "authorization: Bearer pl_…" or "x-api-key: pl_…".',
  { headers: { 'www-authenticate': 'Bearer' } },
);

const silent = (cause?: unknown): GatewayError =>
  new GatewayError('not_ready', 'The database of keys does not answer.', { headers: { 'retry-after': '1' }, cause });

/** The key or token of a request; undefined where there is none, or more than one place has one. */
export function credential(headers: Headers, url: string): string | undefined {
  const authorization = headers.get('authorization');
  const plain = headers.get('x-api-key');
  if ((authorization === null) === (plain === null)) return undefined;
  const query = url.indexOf('?');
  if (query !== -1) {
    for (const [name, value] of new URLSearchParams(url.slice(query))) {
      if (QUERY_NAMES.has(name.toLowerCase()) || parseKey(value)) return undefined;
    }
  }
  // Two headers of one name come as one, with a comma that no key and no token has.
  if (plain !== null) return /^[\w.-]+$/.test(plain) ? plain : undefined;
  return /^bearer +([\w.-]+)$/i.exec(authorization as string)?.[1];
}

/** A record as the database had it. */
interface Known {
  readAt: number;
  until: number;
  /** Whether the database has had a record of this id. */
  exists: boolean;
  /** Whether the record is there: then nobody waits for it. */
  isRead: boolean;
  record: Promise<KeyRecord | undefined>;
}

/** Checks keys, and keeps the records of the database for a while. */
export class Authenticator {
  readonly #host: Host;
  readonly #tokens: Tokens | undefined;
  /** In the order of their last use. */
  readonly #records = new Map<string, Known>();
  /** The ends of blocks by address, in milliseconds since 1970. */
  readonly #blocked = new Map<string, number>();

  constructor(host: Host) {
    this.#host = host;
    this.#tokens = tokensOf(host.settings);
  }

  /**
   * The key of a request. From an address that had too many failures, the database is asked for no id but those that it had a record of
   * before: whoever guesses must not make it work. `ms`: the milliseconds that it has for an answer.
   * @throws {GatewayError} `invalid_api_key`, and `rate_limit_exceeded` after too many of them from one address
   */
  async authenticate(request: Request, ms = READ_MS): Promise<Key> {
    const address = networkOf(this.#host.clientAddress(request));
    let end = this.#endOfBlock(address);
    const key = await this.identify(request.headers, request.url, { mayAsk: end === undefined, ms });
    if (key) return key;
    if (end === undefined) {
      if (await this.#mayFail(address)) throw REFUSED;
      end = this.#block(address);
    }
    throw new GatewayError('rate_limit_exceeded', 'Too many requests without a valid API key from this address.', {
      headers: { 'retry-after': String(Math.ceil((end - Date.now()) / 1000)) },
    });
  }

  /** The key of a request; undefined where it has no valid one. `mayAsk`: whether the database is asked for ids that are not known here. */
  async identify(
    headers: Headers,
    url: string,
    { mayAsk = true, ms = READ_MS }: { mayAsk?: boolean; ms?: number } = {},
  ): Promise<Key | undefined> {
    const text = credential(headers, url);
    if (text === undefined) return undefined;
    const parts = parseKey(text);
    if (!parts) return this.#tokens?.key(text);
    const now = Date.now();
    if (!mayAsk && !this.#records.get(parts.id)?.exists) return undefined;
    const hash = sha256(parts.secret);
    const known = this.#find(parts.id, now);
    let record = await this.#recordOf(parts.id, known, ms);
    if (mayAsk && record && !holds(record, hash, now) && now - known.readAt >= REREAD_MS) {
      this.forget(parts.id);
      record = await this.#recordOf(parts.id, this.#find(parts.id, now), ms);
    }
    // An unknown id is compared too, so that its time does not tell it from a wrong secret.
    const right = holds(record, hash, now);
    return record && right && isValid(record, now) ? record : undefined;
  }

  /** The key with this id, for work that goes on after its request, such as a batch; undefined where it is no longer valid. */
  async byId(id: string): Promise<Key | undefined> {
    const now = Date.now();
    const record = await this.#recordOf(id, this.#find(id, now));
    return record && isValid(record, now) ? record : undefined;
  }

  /** Forgets what is known of a key, after it was changed. */
  forget(id: string): void {
    this.#records.delete(id);
  }

  /** The record, or an error where it does not come: the request that asked for it may have ended without a word. */
  #recordOf(id: string, known: Known, ms = READ_MS): Promise<KeyRecord | undefined> {
    if (known.isRead) return known.record;
    return inTime(known.record, ms, () => {
      if (this.#records.get(id) === known) this.forget(id);
      return silent();
    });
  }

  #find(id: string, now: number): Known {
    const known = this.#records.get(id);
    this.#records.delete(id);
    if (known && now < known.until) {
      this.#records.set(id, known);
      return known;
    }
    const record = findKey(this.#host.sql, id).catch((error) => {
      throw silent(error);
    });
    const entry: Known = { readAt: now, until: now + KNOWN_MS, exists: known?.exists === true, isRead: false, record };
    this.#records.set(id, entry);
    const read = record.then(
      (found) => {
        entry.exists = found !== undefined;
        entry.isRead = true;
        if (!found) entry.until = now + UNKNOWN_MS;
      },
      () => {
        if (this.#records.get(id) === entry) this.#records.delete(id);
      },
    );
    // Others wait for the same answer, so it must come although the client that asked first has left.
    this.#host.hold(read);
    if (this.#records.size > RECORDS) this.#records.delete(this.#records.keys().next().value as string);
    return entry;
  }

  /** The end of the block of an address; undefined where it has none, or where nobody knows the address. */
  #endOfBlock(address: string): number | undefined {
    if (address === '') return undefined;
    const end = this.#blocked.get(address);
    if (end === undefined || Date.now() < end) return end;
    this.#blocked.delete(address);
    return undefined;
  }

  #block(address: string): number {
    const end = Date.now() + FAILURES.seconds * 1000;
    this.#blocked.set(address, end);
    if (this.#blocked.size > BLOCKED) this.#blocked.delete(this.#blocked.keys().next().value as string);
    return end;
  }

  async #mayFail(address: string): Promise<boolean> {
    try {
      if (this.#host.allowFailure) return await this.#host.allowFailure(address);
      return (await this.#host.meter.take(`address:${address}`, [FAILURES])).allowed;
    } catch (error) {
      report(this.#host.settings, 'the meter of failed authentications failed', error);
      return true;
    }
  }
}

/**
 * The network of an address that counts as one: of IPv6 the first 64 bits, as whoever has one such address has all of them. A port behind an
 * address, as some proxies write it, is left out.
 */
export function networkOf(address: string): string {
  const plain = /^\[(.*)\](?::\d+)?$/.exec(address)?.[1] ?? address;
  const v4 = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)(?::\d+)?$/i.exec(plain)?.[1];
  if (v4 !== undefined || !plain.includes(':')) return v4 ?? plain;
  const [front = '', back] = plain.split('%', 1)[0]?.split('::') ?? [];
  const groups = front.split(':').filter(Boolean);
  const behind = back?.split(':').filter(Boolean) ?? [];
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - behind.length) }, () => '0');
  const all = [...groups, ...zeros, ...behind].slice(0, 4);
  return `${all.map((group) => group.toLowerCase().replace(/^0+(?=.)/, '')).join(':')}::/64`;
}

/** Whether a secret is the one of a record, or the one before it within its grace. */
function holds(record: KeyRecord | undefined, hash: string, now: number): boolean {
  const nothing = '0'.repeat(64);
  const right = equalDigests(record?.hash ?? nothing, hash);
  const old = equalDigests(record?.oldHash ?? nothing, hash);
  return right || (old && now < (record?.oldHashUntil ?? 0));
}

function isValid(record: KeyRecord, now: number): boolean {
  return record.revokedAt === null && (record.expiresAt === null || now < record.expiresAt);
}

/** The authenticator of a host: there is one, so that all routes see a revocation at the same time. */
export const authenticatorOf = perHost((host) => new Authenticator(host));
