/** Reads bodies of requests, which may be too long, never end, or not be what they say. */
import { joined } from '../bytes.ts';
import { GatewayError, gatewayErrorIn } from './errors.ts';

/** The most bytes of a JSON body, where its operation says nothing else. */
export const MAX_BYTES = 1 << 20;
const BODY_MS = 10_000;
const MAX_DEPTH = 64;

/** The media type of a body, in lower case and without parameters. */
export function mediaType(headers: Headers): string {
  return (headers.get('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}

/**
 * Checks what the headers say of a body.
 * @throws {GatewayError} `unsupported_media_type`, `body_too_large`, or `invalid_request` for a length that is no number
 */
export function checkBody(headers: Headers, types: readonly string[], maxBytes: number): void {
  const encoding = headers.get('content-encoding');
  if (encoding !== null && encoding.trim().toLowerCase() !== 'identity') {
    // A body that is small on the wire could be unpacked to any size.
    throw new GatewayError('unsupported_media_type', 'content-encoding: expected none; send the body uncompressed.');
  }
  const type = mediaType(headers);
  if (!types.includes(type)) {
    throw new GatewayError('unsupported_media_type', `content-type: expected ${types.join(' or ')}.`);
  }
  const charset = /charset\s*=\s*"?([^\s;"]+)/i.exec(headers.get('content-type') ?? '')?.[1];
  if (charset && type === 'application/json' && charset.toLowerCase() !== 'utf-8') {
    throw new GatewayError('unsupported_media_type', 'content-type: expected charset=utf-8.');
  }
  const length = headers.get('content-length');
  if (length === null) return;
  if (!/^\d{1,15}$/.test(length)) throw new GatewayError('invalid_request', 'content-length: expected a whole number.');
  if (Number(length) > maxBytes) throw tooLarge(maxBytes);
}

/** Reads a whole body, up to a length, within a time. */
export async function readBytes(request: Request, maxBytes: number, ms = BODY_MS): Promise<Uint8Array> {
  if (!request.body) return new Uint8Array();
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(
        new GatewayError('body_timeout', `The body did not arrive within ${ms / 1000} seconds.`, {
          headers: { connection: 'close' },
        }),
      );
    }, ms);
  });
  // Nobody may be waiting any more when the time is up.
  late.catch(() => {});
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await Promise.race([reader.read(), late]);
      if (done) break;
      length += value.byteLength;
      if (length > maxBytes) throw tooLarge(maxBytes);
      chunks.push(value);
    }
  } catch (error) {
    reader.cancel().catch(() => {});
    if (error instanceof GatewayError) throw error;
    throw new GatewayError('client_closed', 'The body ended before it was complete.', { cause: error });
  } finally {
    clearTimeout(timer);
  }
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : joined(chunks, length);
}

/** Reads a body that is a form. */
export async function readForm(given: Request | Response): Promise<FormData> {
  try {
    return await given.formData();
  } catch (error) {
    throw (
      gatewayErrorIn(error) ??
      new GatewayError('invalid_request', 'The body: expected a form (multipart/form-data).', { cause: error })
    );
  }
}

/** Decodes a body as JSON that holds text, and nothing but text: UTF-8 without faults, strings without halves of characters. */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new GatewayError('invalid_json', 'The body: expected UTF-8.');
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The engine's own message quotes the body.
    throw new GatewayError(
      'invalid_json',
      text === '' ? 'The body is empty: expected JSON.' : 'The body: expected JSON.',
    );
  }
  checkJson(value);
  return value;
}

/**
 * Checks depth and strings of a JSON value, without recursion.
 * @throws {GatewayError} `invalid_request` with the path of a string that is not well-formed
 */
export function checkJson(value: unknown): void {
  const open: { value: unknown; path: string; depth: number }[] = [{ value, path: '', depth: 0 }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { value, path, depth } = next;
    if (typeof value === 'string') {
      if (!value.isWellFormed()) {
        throw new GatewayError('invalid_request', `${path || 'the body'}: expected text without lone surrogates`, {
          param: path,
        });
      }
    } else if (typeof value === 'object' && value !== null) {
      if (depth === MAX_DEPTH) {
        throw new GatewayError('invalid_request', `The body: expected at most ${MAX_DEPTH} levels of nesting.`);
      }
      if (Array.isArray(value)) {
        // Vectors have thousands of numbers, which need no look.
        for (const [index, item] of value.entries()) {
          if (typeof item === 'string' || typeof item === 'object') {
            open.push({ value: item, path: `${path}[${index}]`, depth: depth + 1 });
          }
        }
      } else {
        for (const [name, item] of Object.entries(value)) {
          if (!name.isWellFormed()) {
            throw new GatewayError('invalid_request', 'The body: expected names without lone surrogates.');
          }
          open.push({ value: item, path: path ? `${path}.${name}` : name, depth: depth + 1 });
        }
      }
    }
  }
}

/** A request whose body fails once it is longer than it may be. One that says its length is held to it by the server already. */
export function capped(request: Request, maxBytes: number): Request {
  if (!request.body || request.headers.has('content-length')) return request;
  let length = 0;
  const body = (request.body as ReadableStream<Uint8Array>).pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        length += chunk.byteLength;
        if (length > maxBytes) controller.error(tooLarge(maxBytes));
        else controller.enqueue(chunk);
      },
    }),
  );
  return new Request(request.url, {
    method: request.method,
    headers: request.headers,
    body,
    signal: request.signal,
    duplex: 'half',
  } as RequestInit);
}

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError('body_too_large', `The body: expected at most ${maxBytes} bytes.`);
}
