/** A meter in Redis: a window is a key that expires, and leases are a sorted set of their ends. Scripts make each take one step. */
import type { Redis } from 'ioredis';
import type { Lease, Meter, Policy } from '../host.ts';
import { answer, type Taken } from './windows.ts';

/** Arguments: cost, limit and milliseconds of each policy. Answers whether all were taken, and units and milliseconds left of each. */
const TAKE = `
local allowed = 1
for i, key in ipairs(KEYS) do
  local used = tonumber(redis.call('GET', key) or '0')
  if used + tonumber(ARGV[3 * i - 2]) > tonumber(ARGV[3 * i - 1]) then allowed = 0 end
end
local answer = { allowed }
for i, key in ipairs(KEYS) do
  local cost = tonumber(ARGV[3 * i - 2])
  if allowed == 1 and cost > 0 then
    local used = redis.call('INCRBY', key, ARGV[3 * i - 2])
    if used == cost then redis.call('PEXPIRE', key, ARGV[3 * i]) end
  end
  answer[2 * i] = tonumber(redis.call('GET', key) or '0')
  answer[2 * i + 1] = redis.call('PTTL', key)
end
return answer`;

/** Arguments: units and milliseconds. */
const SETTLE = `
local used = redis.call('INCRBY', KEYS[1], ARGV[1])
if used <= 0 then redis.call('DEL', KEYS[1])
elseif redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end`;

/** Arguments: id, limit and milliseconds. The time is the server's, since the clocks of its clients may differ. */
const LEASE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1`;

export class RedisMeter implements Meter {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix = 'pilotlight:meter:') {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  async take(key: string, policies: readonly Policy[]): Promise<Taken> {
    if (policies.length === 0) return { allowed: true, reports: [] };
    const keys = policies.map(({ name }) => this.#key(key, name));
    const args = policies.flatMap(({ cost, limit, seconds }) => [cost, limit, seconds * 1000]);
    const [allowed, ...left] = (await this.#redis.eval(TAKE, keys.length, ...keys, ...args)) as number[];
    const now = Date.now();
    const windows = policies.map((_, index) => {
      const used = left[2 * index] ?? 0;
      return used > 0 ? { used, resetsAt: now + (left[2 * index + 1] ?? 0) } : undefined;
    });
    return answer(policies, windows, now, allowed === 1);
  }

  async settle(key: string, { name, seconds }: Pick<Policy, 'name' | 'seconds'>, extra: number): Promise<void> {
    await this.#redis.eval(SETTLE, 1, this.#key(key, name), extra, seconds * 1000);
  }

  async lease(key: string, { id, limit, seconds }: Lease): Promise<boolean> {
    return (await this.#redis.eval(LEASE, 1, this.#key(key, 'leases'), id, limit, seconds * 1000)) === 1;
  }

  async release(key: string, id: string): Promise<void> {
    await this.#redis.zrem(this.#key(key, 'leases'), id);
  }

  /** The braces keep all windows of a key on one node of a cluster. */
  #key(key: string, name: string): string {
    return `${this.#prefix}{${key}}:${name}`;
  }
}
