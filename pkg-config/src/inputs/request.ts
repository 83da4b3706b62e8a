import type { LoadOptions } from '../../types/index.js';
import { PilotlightError } from '../error.js';
import type { ByteReader } from './byte-reader.js';
import { type BodyLike, openBody, sourcesOf } from './byte-sources.js';
import { has, kindOf } from './foreign.js';

/** A host's response, as WebAssembly reads it. */
export interface Answer {
  readonly status: number;
  readonly statusText: string;
  readonly ok: boolean;
  /** Whether it is of the page's own origin. A response of another origin does not show its `Content-Encoding`. */
  readonly basic: boolean;
  header(name: string): string | undefined;
  text(): Promise<string>;
  open(): ByteReader;
}

/** Sends a request to a host. `noStore` keeps bytes that the store holds anyway out of the browser's cache; Workers know no cache modes. */
export type Request = (
  url: string,
  range: string | undefined,
  authorization: string | undefined,
  noStore: boolean,
) => Promise<Answer>;

interface Given {
  files?: LoadOptions['files'];
  host?: LoadOptions['host'] | undefined;
}

/**
 * The options through which WebAssembly gets bytes: a `request` function and the caller's files, and the host without its query. A query, such
 * as a signature, is added to each request here, so that neither a message nor a key of a store can have it.
 */
export function byteOptions({ files, host }: Given, signal: AbortSignal | undefined): object {
  // WebAssembly refuses a host that is no text, and says what it expected.
  const [address, ...rest] = typeof host === 'string' ? host.split('?') : [];
  const query = rest.join('?');
  return {
    ...(rest.length > 0 && { host: address }),
    request: requestWith(signal, query),
    files: sourcesOf(files, signal),
  };
}

function requestWith(signal: AbortSignal | undefined, query: string): Request {
  return async (url, range, authorization, noStore) => {
    const address = query === '' ? url : `${url}${url.includes('?') ? '&' : '?'}${query}`;
    const asking = globalThis.fetch(address, {
      headers: { ...(range && { Range: range }), ...(authorization && { Authorization: authorization }) },
      ...(noStore && { cache: 'no-store' }),
      ...(signal && { signal }),
    });
    const answer: unknown = await (query === '' ? asking : asking.catch((error) => hide(query, error)));
    return answerOf(answer, signal);
  };
}

/** Throws an error again, without the query where its message has it: a runtime may quote the address. */
function hide(query: string, error: unknown): never {
  const { message } = Object(error) as { message?: unknown };
  if (typeof message !== 'string' || !message.includes(query)) throw error;
  throw new TypeError(message.replaceAll(query, '…'));
}

/** Wraps a response. It is recognized by its methods, not by class: servers such as @hono/node-server replace the global `Response`. */
function answerOf(answer: unknown, signal: AbortSignal | undefined): Answer {
  const response = Object(answer) as Partial<Response> & BodyLike;
  const { status, statusText, type, headers } = response;
  if (typeof status !== 'number' || !has(headers, 'get'))
    throw new PilotlightError('FETCH_FAILED', `fetch gave ${kindOf(answer)}, expected a Response`);
  return {
    status,
    statusText: typeof statusText === 'string' ? statusText : '',
    ok: status >= 200 && status < 300,
    basic: type === 'basic',
    header(name) {
      const value: unknown = headers.get(name);
      return typeof value === 'string' ? value : undefined;
    },
    text: async () => String(await (response as Response).text()),
    open: () => openBody(response, signal),
  };
}
