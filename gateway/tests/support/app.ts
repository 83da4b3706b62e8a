/** Calls of an app in the same process. */

import type { Host, Sql } from '../../src/host.ts';
import { mintKey, type NewKey } from '../../src/keys.ts';
import { SCOPES } from '../../src/operation.ts';
import { watch, watchBody, watchHeaders } from './logs.ts';

/** An app, or a host that listens: the tests call both alike. */
export interface App {
  fetch(request: Request): Response | Promise<Response>;
}

export interface CallOptions {
  /** A key for `authorization: Bearer`. */
  key?: string;
  headers?: HeadersInit;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  body?: BodyInit;
  signal?: AbortSignal;
}

/** Calls a path. The path goes into the address as it is. */
export async function call(app: App, method: string, path: string, options: CallOptions = {}): Promise<Response> {
  const headers = new Headers(options.headers);
  if (options.key !== undefined) headers.set('authorization', `Bearer ${options.key}`);
  watchHeaders(headers);
  watchBody(options.json ?? options.body);
  const body = options.json === undefined ? options.body : JSON.stringify(options.json);
  if (options.json !== undefined && !headers.has('content-type')) headers.set('content-type', 'application/json');
  // Servers give the length of a body that is not a stream; `Request` does not.
  if (typeof body === 'string' && !headers.has('content-length')) {
    headers.set('content-length', String(new TextEncoder().encode(body).byteLength));
  }
  return app.fetch(
    new Request(`http://gateway.test${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body, duplex: 'half' }),
      ...(options.signal ? { signal: options.signal } : {}),
    } as RequestInit),
  );
}

/** Makes a key in a database, with all scopes or those that are given. No log may have it. */
export async function minted(sql: Sql, options: Partial<NewKey> = {}): Promise<string> {
  const { key } = await mintKey(sql, { name: 'test', owner: 'owner', scopes: SCOPES, ...options });
  watch(key);
  return key;
}

/** Makes a key for a host. */
export async function keyFor(host: Host, options: Partial<NewKey> = {}): Promise<string> {
  return minted(host.sql, options);
}
