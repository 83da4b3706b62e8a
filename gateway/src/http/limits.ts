/** Limits of keys: requests and tokens in fixed windows, and requests that run at the same time. */
import type { Host, Lease, Meter, MeterReport, Policy } from '../host.ts';
import type { Key, Limits } from '../keys.ts';
import { inTime } from '../waiting.ts';
import { GatewayError } from './errors.ts';
import { report } from './log.ts';

/** Milliseconds that a meter may take; without its answer, a request goes on. */
const METER_MS = 2_000;
/** Seconds after which the place of a request is free again whose isolate or process has ended. */
const LEASE_SECONDS = 60;
/** Milliseconds between renewals of a place, of which two may fail. */
const RENEW_MS = (LEASE_SECONDS * 1000) / 3;

type Limited = Policy['name'] | 'concurrency';

const NOUN: Record<Limited, string> = {
  rpm: 'requests a minute',
  tpm: 'tokens a minute',
  tpd: 'tokens a day',
  concurrency: 'requests at the same time',
  failures: 'failures a minute',
};

function policies(limits: Limits, tokens: number): Policy[] {
  const list: Policy[] = [];
  if (limits.rpm !== undefined) list.push({ name: 'rpm', limit: limits.rpm, seconds: 60, cost: 1 });
  if (limits.tpm !== undefined) list.push({ name: 'tpm', limit: limits.tpm, seconds: 60, cost: tokens });
  if (limits.tpd !== undefined) list.push({ name: 'tpd', limit: limits.tpd, seconds: 86_400, cost: tokens });
  return list;
}

/** Tokens that a body of this many characters may have; what it really had is settled afterwards. */
export const reservation = (characters: number): number => Math.ceil(characters / 3);

/** Keys whose requests of this minute are used up, so that a flood costs no call of the meter. */
const exhausted = new WeakMap<Meter, Map<string, { rpm: number; at: number; until: number; reports: MeterReport[] }>>();
const EXHAUSTED_KEYS = 5_000;

/** The limits of one request. */
export class Limiter {
  readonly #host: Host;
  readonly #key: Key;
  readonly #limits: Limits;
  readonly #out: Headers;
  #taken: Policy[] = [];
  #lease: Lease | undefined;
  #renewal: ReturnType<typeof setInterval> | undefined;
  #renewed: Promise<unknown> | undefined;
  #reports: MeterReport[] = [];

  /** Headers that tell of the limits go into `out`. */
  constructor(host: Host, key: Key, limits: Limits, out: Headers) {
    this.#host = host;
    this.#key = key;
    this.#limits = limits;
    this.#out = out;
  }

  /** Refuses at once what this isolate knows to be over the limit of requests, before the body is read. */
  refuseKnown(): void {
    const known = exhausted.get(this.#host.meter)?.get(this.#key.id);
    const now = Date.now();
    if (!known || known.rpm !== this.#limits.rpm || now >= known.until) return;
    const passed = Math.floor((now - known.at) / 1000);
    this.#reports = known.reports.map((one) => ({ ...one, resetSeconds: Math.max(1, one.resetSeconds - passed) }));
    this.#tell(0);
    throw this.#refusal('rpm');
  }

  /**
   * Takes one of the places of requests that run at the same time, before anything of this one is read.
   * @throws {GatewayError} `rate_limit_exceeded`
   */
  async enter(): Promise<void> {
    const { concurrency: limit } = this.#limits;
    if (limit === undefined) return;
    const { meter } = this.#host;
    const { id: key } = this.#key;
    // Not the id of the request, which clients choose.
    const lease: Lease = { id: crypto.randomUUID(), limit, seconds: LEASE_SECONDS };
    const entered = await this.#ask(meter.lease(key, lease));
    if (entered === false) throw this.#refusal('concurrency', limit);
    this.#lease = lease;
    this.#renewal = setInterval(() => {
      this.#renewed = this.#ask(meter.lease(key, lease));
    }, RENEW_MS);
  }

  /**
   * Takes one request and `tokens` tokens. A meter that fails lets requests pass.
   * @throws {GatewayError} `rate_limit_exceeded`, or `insufficient_quota` where the tokens of the day are used up
   */
  async take(tokens: number): Promise<void> {
    const wanted = policies(this.#limits, tokens);
    if (wanted.length === 0 || this.#taken.length > 0) return;
    let answer = await this.#ask(this.#host.meter.take(this.#key.id, wanted));
    let taken = wanted;
    if (answer && !answer.allowed && wanted.find(({ name }) => name === answer?.blocked)?.cost === 0) {
      // Tokens that were settled beyond the limit must not refuse what takes none, such as a kept answer.
      const { reports } = answer;
      taken = wanted.filter(({ cost }) => cost > 0);
      answer =
        taken.length > 0 ? await this.#ask(this.#host.meter.take(this.#key.id, taken)) : { allowed: true, reports };
      if (answer) answer = { ...answer, reports: reports.map((one) => find(answer?.reports, one.name) ?? one) };
    }
    if (!answer) return;
    this.#reports = answer.reports;
    this.#tell(0);
    if (answer.allowed) {
      this.#taken = taken;
      return;
    }
    const blocked = answer.blocked ?? 'rpm';
    if (blocked === 'rpm') this.#remember();
    const policy = wanted.find(({ name }) => name === blocked);
    throw this.#refusal(blocked, policy?.limit, policy?.cost);
  }

  /** Corrects the reservation to the tokens that the request had, if they are known, and gives its place back. */
  async settle(tokens?: number): Promise<void> {
    const { meter } = this.#host;
    const { id: key } = this.#key;
    const taken = this.#taken;
    const lease = this.#lease;
    clearInterval(this.#renewal);
    this.#taken = [];
    this.#lease = undefined;
    const corrections = taken
      .map((policy) => ({ policy, extra: correction(policy, tokens) }))
      .filter(({ extra }) => extra !== 0);
    const settled = corrections.map(({ policy, extra }) => meter.settle(key, policy, extra));
    // A renewal that came after it would take the place again.
    if (lease) settled.push(Promise.resolve(this.#renewed).then(() => meter.release(key, lease.id)));
    if (settled.length === 0) return;
    // The client's next request may come right after the answer, so the answer waits for this.
    await this.#ask(Promise.all(settled));
    const reserved = taken.find(({ name }) => name === 'tpm' || name === 'tpd')?.cost ?? 0;
    this.#tell((tokens ?? reserved) - reserved);
  }

  async #ask<T>(question: Promise<T>): Promise<T | undefined> {
    try {
      return await inTime(question, METER_MS, () => new Error(`The meter took more than ${METER_MS} ms.`));
    } catch (error) {
      report(this.#host.settings, 'the meter failed, and the request goes on', error);
      return undefined;
    }
  }

  #remember(): void {
    const { meter } = this.#host;
    const keys = exhausted.get(meter) ?? new Map();
    exhausted.set(meter, keys);
    const reset = find(this.#reports, 'rpm')?.resetSeconds ?? 0;
    const now = Date.now();
    keys.delete(this.#key.id);
    // The reset is rounded up: in its last second only the meter knows.
    keys.set(this.#key.id, { rpm: this.#limits.rpm, at: now, until: now + (reset - 1) * 1000, reports: this.#reports });
    if (keys.size > EXHAUSTED_KEYS) keys.delete(keys.keys().next().value);
  }

  #refusal(name: Limited, most = 0, cost = 0): GatewayError {
    const found = this.#reports.find((one) => one.name === name);
    const limit = found?.limit ?? most;
    const seconds = Math.max(1, found?.resetSeconds ?? 1);
    if (cost > limit) {
      return new GatewayError(
        'insufficient_quota',
        `This request may take ${cost} tokens, and the limit is ${limit} ${NOUN[name]}.`,
        { headers: { 'x-should-retry': 'false', 'x-limited-by': name } },
      );
    }
    return new GatewayError(
      name === 'tpd' ? 'insufficient_quota' : 'rate_limit_exceeded',
      `The limit of ${limit} ${NOUN[name]} is reached. Try again in ${seconds} s.`,
      {
        headers: {
          'retry-after': String(seconds),
          'x-limited-by': name,
          ...(name === 'tpd' ? { 'x-should-retry': 'false' } : {}),
        },
      },
    );
  }

  /** Writes the headers; `extra` tokens were used beyond those of the reports. */
  #tell(extra: number): void {
    const windows = this.#reports.map((one) => ({
      ...one,
      remaining: Math.max(0, one.remaining - (one.name === 'rpm' ? 0 : extra)),
    }));
    if (windows.length === 0) return;
    this.#out.set('ratelimit-policy', windows.map((one) => `"${one.name}";q=${one.limit};w=${one.seconds}`).join(', '));
    this.#out.set(
      'ratelimit',
      windows.map((one) => `"${one.name}";r=${one.remaining};t=${one.resetSeconds}`).join(', '),
    );
    const requests = windows.find(({ name }) => name === 'rpm');
    const tokens = windows.find(({ name }) => name === 'tpm') ?? windows.find(({ name }) => name === 'tpd');
    for (const [what, one] of [['requests', requests] as const, ['tokens', tokens] as const]) {
      if (!one) continue;
      this.#out.set(`x-ratelimit-limit-${what}`, String(one.limit));
      this.#out.set(`x-ratelimit-remaining-${what}`, String(one.remaining));
      this.#out.set(`x-ratelimit-reset-${what}`, `${one.resetSeconds}s`);
    }
  }
}

const find = (reports: readonly MeterReport[] | undefined, name: Policy['name']) =>
  reports?.find((one) => one.name === name);

function correction(policy: Policy, tokens: number | undefined): number {
  return policy.name === 'rpm' || tokens === undefined ? 0 : tokens - policy.cost;
}
