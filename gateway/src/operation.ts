/** An operation is one method of one path: what it asks for, what it answers, and who may call it. `operations.ts` lists them all. */
import type { GenericSchema, InferOutput } from 'valibot';
import type { Host, RequestEvent } from './host.ts';
import type { Key } from './keys.ts';

/** The scopes of keys. Each operation asks for one; every valid key has `any`, and `public` needs no key. */
export const SCOPES = [
  'embed',
  'classify',
  'detect',
  'digits',
  'search',
  'files',
  'batches',
  'history',
  'metrics',
  'admin',
] as const;
export type Scope = (typeof SCOPES)[number];

/** A request as a handler sees it: authenticated, within its limits, and with a valid body. */
export interface Call<Body = unknown, Query = unknown> {
  host: Host;
  key: Key;
  /** The body as its schema has parsed it; undefined where the operation has none. */
  body: Body;
  query: Query;
  /** The values of `{name}` in the path. */
  params: Record<string, string>;
  headers: Headers;
  /** Lines of a batch have no request. */
  request?: Request;
  /** The body, for operations whose body is no JSON; it fails where it is too long or too slow. */
  stream?: ReadableStream<Uint8Array>;
  requestId: string;
  signal: AbortSignal;
  /** The event of the request, into which the handler puts the model, the place where it runs, items and tokens. */
  event: RequestEvent;
}

type Output<S> = S extends GenericSchema ? InferOutput<S> : undefined;

/** The fields of all operations. */
interface Common {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With `{name}` for a part that varies. */
  path: string;
  scope: Scope | 'any' | 'public';
  /** One sentence, for the docs. */
  summary: string;
  /** The media types of a body that is not JSON; the handler reads it from `stream`. */
  raw?: readonly string[];
  /** The schema of the answer in JSON, or the media type of another one. */
  answer?: GenericSchema | string;
  status?: 200 | 201 | 202 | 204;
  /** The most bytes of a body; default 1 MiB. */
  maxBytes?: number;
  /** The most values of a JSON body, lists and objects among them; default 65,536. */
  maxValues?: number;
  /** Whether the predictions are kept in the history of keys that ask for it. */
  predicts?: boolean;
  /** Whether a batch may have lines for this path. */
  batched?: boolean;
}

/** An operation with the types of its schemas. */
interface Declared<B extends GenericSchema | undefined, Q extends GenericSchema | undefined> extends Common {
  /** The schema of a JSON body. */
  body?: B;
  query?: Q;
  /** Whether answers are kept in the cache: those that depend on nothing but the body and the model. */
  cached?: boolean | ((body: Output<B>) => boolean);
  /** The tokens that limits reserve for a request, where they do not follow from its texts alone; the body is undefined where a form is sent. */
  tokens?(body: Output<B> | undefined): number;
  handle(call: Call<Output<B>, Output<Q>>): Promise<Response>;
}

/** An operation in a list, where the schemas of each differ. */
export interface Operation extends Common {
  body?: GenericSchema;
  query?: GenericSchema;
  cached?: boolean | ((body: unknown) => boolean);
  tokens?(body: unknown): number;
  handle(call: Call): Promise<Response>;
}

/** Declares an operation, so that `handle` has the types of the schemas. Whoever calls `handle` has checked the body by them. */
export function operation<
  B extends GenericSchema | undefined = undefined,
  Q extends GenericSchema | undefined = undefined,
>(declared: Declared<B, Q>): Operation {
  return declared as unknown as Operation;
}
