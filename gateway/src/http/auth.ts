/** Authentication of requests, by an API key or by a token of an identity provider. */
import type { Host } from '../host.ts';
import { equalDigests, type Key, type KeyRecord, parseKey, sha256 } from '../keys.ts';
import { perHost } from '../per-host.ts';
import { findKey } from '../tables/keys.ts';
import { GatewayError } from './errors.ts';
import { report } from './log.ts';
import { type Tokens, tokensOf } from './tokens.ts';

/** The milliseconds for which a record is believed, so that a revocation holds everywhere after at most 30 seconds. */
const KNOWN_MS = 30_000;
const UNKNOWN_MS = 10_000;
/** The least milliseconds between two reads of a record that a secret does not fit, as it may have been rotated elsewhere. */
const REREAD_MS = 1_000;
const RECORDS = 5_000;
/** The failures that an address may have within a minute. */
export const FAILURES = { name: 'failures', limit: 20, seconds: 60, cost: 1 } as const;
/** Names under which people put keys into addresses, where proxies log them and browsers remember them. */
const QUERY_NAMES = new Set(['key', 'api_key', 'apikey', 'api-key', 'x-api-key', 'access_token', 'token']);

/** The key of a request without a key, on routes that need none. */
export const NOBODY: Key = { id: '', name: '', owner: '', scopes: [], limits: {}, models: null, history: 'off' };

/** The refusal of everything that is no valid key. It must not tell an expired key from one that never was. */
function refused(): GatewayError {
  return new GatewayError(
    'invalid_api_key',
    'No valid API key. Send one as "authorization: Bearer pl_…" or "x-api-key: pl_…".',
    { headers: { 'www-authenticate': 'Bearer' } },
  );
}

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
  record: Promise<KeyRecord | undefined>;
}

/** Checks keys, and keeps the records of the database for a while. */
export class Authenticator {
  readonly #host: Host;
  readonly #tokens: Tokens | undefined;
  /** In the order of their last use. */
  readonly #records = new Map<string, Known>();

  constructor(host: Host) {
    this.#host = host;
    this.#tokens = tokensOf(host.settings);
  }

  /**
   * The key of a request.
   * @throws {GatewayError} `invalid_api_key`, and `rate_limit_exceeded` after too many of them from one address
   */
  async authenticate(request: Request): Promise<Key> {
    const key = await this.identify(request.headers, request.url);
    if (key) return key;
    if (await this.#mayFail(this.#host.clientAddress(request))) throw refused();
    throw new GatewayError('rate_limit_exceeded', 'Too many requests without a valid API key from this address.', {
      headers: { 'retry-after': String(FAILURES.seconds) },
    });
  }

  /** The key of a request; undefined where it has no valid one. */
  async identify(headers: Headers, url: string): Promise<Key | undefined> {
    const text = credential(headers, url);
    if (text === undefined) return undefined;
    const parts = parseKey(text);
    if (!parts) return this.#tokens?.key(text);
    const now = Date.now();
    const hash = await sha256(parts.secret);
    const known = this.#find(parts.id, now);
    let record = await known.record;
    if (record && !holds(record, hash, now) && now - known.readAt >= REREAD_MS) {
      this.forget(parts.id);
      record = await this.#find(parts.id, now).record;
    }
    // An unknown id is compared too, so that its time does not tell it from a wrong secret.
    const right = holds(record, hash, now);
    return record && right && isValid(record, now) ? record : undefined;
  }

  /** The key with this id, for work that goes on after its request, such as a batch; undefined where it is no longer valid. */
  async byId(id: string): Promise<Key | undefined> {
    const now = Date.now();
    const record = await this.#find(id, now).record;
    return record && isValid(record, now) ? record : undefined;
  }

  /** Forgets what is known of a key, after it was changed. */
  forget(id: string): void {
    this.#records.delete(id);
  }

  #find(id: string, now: number): Known {
    const known = this.#records.get(id);
    this.#records.delete(id);
    if (known && now < known.until) {
      this.#records.set(id, known);
      return known;
    }
    const record = findKey(this.#host.sql, id).catch((error) => {
      throw new GatewayError('not_ready', 'The database of keys does not answer.', {
        headers: { 'retry-after': '1' },
        cause: error,
      });
    });
    const entry: Known = { readAt: now, until: now + KNOWN_MS, record };
    this.#records.set(id, entry);
    const read = record.then(
      (found) => {
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
