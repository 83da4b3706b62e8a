/** API keys: their form, what is kept of them, and who they are for. */
import type { Scope } from './operation.ts';

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

/** Who calls: a key, or a token of an identity provider, after it was checked. */
export interface Key {
  id: string;
  name: string;
  owner: string;
  scopes: readonly Scope[];
  limits: Limits;
  /** The models that the key may use; all where it is null. */
  models: readonly string[] | null;
  /** What the history keeps of its predictions: nothing, all but the input, or all. */
  history: 'off' | 'meta' | 'full';
}
