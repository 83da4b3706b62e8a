/** Things that a host has one of. */
import type { Host } from './host.ts';

/** Returns a function that makes something for a host at its first call, and returns the same at each later one. */
export function perHost<T>(make: (host: Host) => T): (host: Host) => T {
  const made = new WeakMap<Host, { value: T }>();
  return (host) => {
    let found = made.get(host);
    if (!found) {
      found = { value: make(host) };
      made.set(host, found);
    }
    return found.value;
  };
}
