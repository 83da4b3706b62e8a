/** A meter on Workers: each key has a Durable Object of its own, which counts one request after the other. */
import { DurableObject } from 'cloudflare:workers';
import type { DurableObjectState } from '@cloudflare/workers-types';
import type { Lease, Meter, Policy } from '../host.ts';
import { add, type Leases, lease, type Taken, take, type Window } from './windows.ts';

/** The most seconds of a window that is in memory alone: the platform keeps an object for longer than that after a request. */
const SHORT = 60;

export class KeyMeter extends DurableObject {
  readonly #windows: Map<string, Window>;
  /** In memory alone, as each is renewed within the time for which the platform keeps an object. */
  readonly #leases: Leases = new Map();

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env);
    this.#windows = new Map(ctx.storage.kv.list<Window>());
  }

  take(policies: readonly Policy[]): Taken {
    const taken = take(this.#windows, policies, Date.now());
    if (taken.allowed) for (const policy of policies) this.#keep(policy);
    return taken;
  }

  settle(policy: Pick<Policy, 'name' | 'seconds'>, extra: number): void {
    add(this.#windows, policy, extra, Date.now());
    this.#keep(policy);
  }

  lease(wanted: Lease): boolean {
    return lease(this.#leases, wanted, Date.now());
  }

  release(id: string): void {
    this.#leases.delete(id);
  }

  #keep({ name, seconds }: Pick<Policy, 'name' | 'seconds'>): void {
    if (seconds <= SHORT) return;
    const window = this.#windows.get(name);
    if (window) this.ctx.storage.kv.put(name, window);
    else this.ctx.storage.kv.delete(name);
  }
}

/** The binding to the class. */
export interface KeyMeterNamespace {
  getByName(key: string): {
    take(policies: readonly Policy[]): Promise<Taken>;
    settle(policy: Pick<Policy, 'name' | 'seconds'>, extra: number): Promise<void>;
    lease(wanted: Lease): Promise<boolean>;
    release(id: string): Promise<void>;
  };
}

export class ObjectMeter implements Meter {
  readonly #namespace: KeyMeterNamespace;

  constructor(namespace: KeyMeterNamespace) {
    this.#namespace = namespace;
  }

  take(key: string, policies: readonly Policy[]): Promise<Taken> {
    return this.#namespace.getByName(key).take(policies);
  }

  settle(key: string, { name, seconds }: Pick<Policy, 'name' | 'seconds'>, extra: number): Promise<void> {
    return this.#namespace.getByName(key).settle({ name, seconds }, extra);
  }

  lease(key: string, wanted: Lease): Promise<boolean> {
    return this.#namespace.getByName(key).lease(wanted);
  }

  release(key: string, id: string): Promise<void> {
    return this.#namespace.getByName(key).release(id);
  }
}
