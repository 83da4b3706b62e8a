/** The callers that jobs work for, and the paths that they may ask for. */
import type { Host } from '../host.ts';
import { authenticatorOf } from '../http/auth.ts';
import type { Key } from '../keys.ts';
import { operations } from '../operations.ts';

/** The key of a job's owner as it is now; undefined where it was revoked, or its time is over. */
export async function callerOf(host: Host, id: string, snapshot: string): Promise<Key | undefined> {
  // Tokens of an identity provider are kept nowhere: what the one that ordered the job allowed holds to the job's end.
  if (id.startsWith('jwt:')) return JSON.parse(snapshot) as Key;
  return authenticatorOf(host).byId(id);
}

/** The text that keeps a caller for jobs. */
export function snapshotOf({ id, name, owner, scopes, limits, models, history }: Key): string {
  return JSON.stringify({ id, name, owner, scopes, limits, models, history });
}

/** The paths that a batch may have lines for. */
export function batchedPaths(): string[] {
  return operations.filter(({ batched }) => batched).map(({ path }) => path);
}
