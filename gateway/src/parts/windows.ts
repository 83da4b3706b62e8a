/**
 * Windows that count units: each begins with the first unit and ends after its seconds, and one that has no units is none. And leases, each
 * of which ends after its own seconds. The memory meter and the Durable Object count with them; Redis and SQL do the same in their own
 * language.
 */
import type { Lease, MeterReport, Policy } from '../host.ts';

export interface Window {
  used: number;
  /** Milliseconds since 1970. */
  resetsAt: number;
}

export interface Taken {
  allowed: boolean;
  blocked?: Policy['name'];
  reports: MeterReport[];
}

/** Takes the cost of all policies, or none, from the windows of one key. */
export function take(windows: Map<string, Window>, policies: readonly Policy[], now: number): Taken {
  for (const [name, window] of windows) if (window.resetsAt <= now) windows.delete(name);
  const allowed = !policies.some((policy) => isOver(policy, windows.get(policy.name)));
  if (allowed) for (const policy of policies) add(windows, policy, policy.cost, now);
  const taken = policies.map(({ name }) => windows.get(name));
  return answer(policies, taken, now, allowed);
}

/** Adds units to a window, or gives them back. */
export function add(
  windows: Map<string, Window>,
  policy: Pick<Policy, 'name' | 'seconds'>,
  units: number,
  now: number,
) {
  const window = windows.get(policy.name);
  const open = window !== undefined && window.resetsAt > now;
  const used = Math.max(0, (open ? window.used : 0) + units);
  if (used === 0) windows.delete(policy.name);
  else windows.set(policy.name, { used, resetsAt: open ? window.resetsAt : now + policy.seconds * 1000 });
}

/** Whether a window has less left than a policy takes. */
const isOver = ({ cost, limit }: Policy, window: Window | undefined): boolean => (window?.used ?? 0) + cost > limit;

/** The answer of a meter, by the windows as they are after the take. */
export function answer(
  policies: readonly Policy[],
  windows: readonly (Window | undefined)[],
  now: number,
  allowed: boolean,
): Taken {
  const reports = policies.map(({ name, limit, seconds }, index) => {
    const window = windows[index];
    return {
      name,
      limit,
      remaining: Math.max(0, limit - (window?.used ?? 0)),
      resetSeconds: window ? Math.max(0, Math.ceil((window.resetsAt - now) / 1000)) : 0,
      seconds,
    };
  });
  const blocked = allowed ? undefined : policies.find((policy, index) => isOver(policy, windows[index]));
  return blocked ? { allowed: false, blocked: blocked.name, reports } : { allowed: true, reports };
}

/** The ends of leases by their ids, in milliseconds since 1970. */
export type Leases = Map<string, number>;

/** Takes or renews a lease, after those that have run out are gone. Returns false where all places are taken. */
export function lease(leases: Leases, { id, limit, seconds }: Lease, now: number): boolean {
  for (const [other, endsAt] of leases) if (endsAt <= now) leases.delete(other);
  if (!leases.has(id) && leases.size >= limit) return false;
  leases.set(id, now + seconds * 1000);
  return true;
}
