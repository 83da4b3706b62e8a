/** Reads bodies of requests, which may be too long, never end, or not be what they say. */
import { joined } from '../bytes.ts';
import { isStorable } from '../schemas.ts';
import { inTime } from '../waiting.ts';
import { GatewayError, gatewayErrorIn } from './errors.ts';

/** The most bytes of a JSON body, where its operation says nothing else. */
export const MAX_BYTES = 1 << 20;
/** The most values of a JSON body, lists and objects among them; a vector has up to 32,768. */
const MAX_VALUES = 1 << 16;
const MAX_DEPTH = 64;
/** The most parts of a form: 256 images and some fields. */
const MAX_PARTS = 300;
/** The milliseconds that any body has, and the bytes a second at which a longer one has to come. */
const GRACE_MS = 10_000;
export const LEAST_RATE = 16_384;
/** The milliseconds for which a body may stand still. */
const PAUSE_MS = 30_000;

/** The most milliseconds that a body of so many bytes takes. */
export const mostMs = (bytes: number): number => GRACE_MS + (bytes / LEAST_RATE) * 1000;

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
  if (Number(length) > maxBytes) throw tooLarge(`${maxBytes} bytes`);
}

/** The pieces of a body, one at a time. */
interface Pieces {
  /**
   * The next piece; undefined at the end.
   * @throws {GatewayError} `body_too_large`, `body_timeout`, or `client_closed` where the body breaks
   */
  next(): Promise<Uint8Array | undefined>;
  cancel(reason?: unknown): Promise<void>;
}

/**
 * Reads a body up to a length, and only as long as it comes at `LEAST_RATE` after the first `graceMs`, without pauses of more than
 * `PAUSE_MS`. So a long body has more time than a short one, and one that trickles has none. The time that its reader takes does not count.
 */
function piecesOf(body: ReadableStream<Uint8Array>, maxBytes: number, graceMs: number): Pieces {
  const reader = body.getReader();
  let [bytes, waited] = [0, 0];
  const cancel = (reason?: unknown) => reader.cancel(reason).catch(() => {});
  return {
    cancel,
    async next() {
      const left = Math.max(0, Math.min(PAUSE_MS, graceMs + (bytes / LEAST_RATE) * 1000 - waited));
      const started = Date.now();
      try {
        const { done, value } = await inTime(reader.read(), left, tooSlow);
        if (done) return undefined;
        waited += Date.now() - started;
        bytes += value.byteLength;
        if (bytes > maxBytes) throw tooLarge(`${maxBytes} bytes`);
        return value;
      } catch (error) {
        void cancel(error);
        if (error instanceof GatewayError) throw error;
        throw new GatewayError('client_closed', 'The body ended before it was complete.', { cause: error });
      }
    },
  };
}

/** Reads a whole body, up to a length. */
export async function readBytes(request: Request, maxBytes: number, graceMs = GRACE_MS): Promise<Uint8Array> {
  if (!request.body) return new Uint8Array();
  const pieces = piecesOf(request.body as ReadableStream<Uint8Array>, maxBytes, graceMs);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let chunk = await pieces.next(); chunk; chunk = await pieces.next()) {
    chunks.push(chunk);
    length += chunk.byteLength;
  }
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : joined(chunks, length);
}

/** Passes a body on, which fails as `readBytes` does. */
export function guarded(body: ReadableStream<Uint8Array>, maxBytes: number): ReadableStream<Uint8Array> {
  const pieces = piecesOf(body, maxBytes, GRACE_MS);
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const piece = await pieces.next();
        if (piece) controller.enqueue(piece);
        else controller.close();
      },
      cancel: (reason) => pieces.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Reads a body that is a form of at most `MAX_PARTS` parts. */
export async function readForm(headers: Headers, body: ReadableStream<Uint8Array> | null = null): Promise<FormData> {
  const boundary = /;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(headers.get('content-type') ?? '');
  const counted = body?.pipeThrough(countParts(boundary?.[1] ?? boundary?.[2] ?? ''));
  try {
    return await new Response(counted, { headers }).formData();
  } catch (error) {
    throw (
      gatewayErrorIn(error) ??
      new GatewayError('invalid_request', 'The body: expected a form (multipart/form-data).', { cause: error })
    );
  }
}

/** Passes a form on, and fails where it has too many parts: each becomes an object, and a body of 20 MB can have 300,000. */
function countParts(boundary: string): TransformStream<Uint8Array, Uint8Array> {
  const delimiter = new TextEncoder().encode(`\r\n--${boundary}`);
  const first = delimiter[0] as number;
  let [parts, matched] = [0, 0];
  return new TransformStream({
    transform(chunk, controller) {
      // The first byte is nowhere else in a delimiter, so a match that fails begins anew where it failed.
      for (let at = 0; at < chunk.length; ) {
        if (matched === 0) {
          at = chunk.indexOf(first, at);
          if (at === -1) break;
        }
        if (chunk[at] === delimiter[matched]) {
          matched += 1;
          at += 1;
          if (matched < delimiter.length) continue;
          parts += 1;
        }
        matched = 0;
      }
      if (parts > MAX_PARTS) controller.error(tooLarge(`${MAX_PARTS} parts`));
      else controller.enqueue(chunk);
    },
  });
}

/**
 * Decodes a body as JSON that holds text, and nothing but text: UTF-8 without faults, strings without halves of characters.
 * @throws {GatewayError} `body_too_large` where it has more values than `maxValues`, `invalid_json`, and what `checkJson` throws
 */
export function parseJson(bytes: Uint8Array, maxValues = MAX_VALUES): unknown {
  if (countValues(bytes, maxValues) > maxValues) throw tooLarge(`${maxValues} values`);
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

const [QUOTE, BACKSLASH, COMMA, LIST, OBJECT] = [34, 92, 44, 91, 123];

/**
 * Counts the values of a text in JSON, empty lists and objects twice, until there are more than `most`. It is done before the text is parsed:
 * a list of empty lists takes 13 times its length in memory.
 */
function countValues(bytes: Uint8Array, most: number): number {
  let count = 1;
  for (let at = 0; at < bytes.length && count <= most; at += 1) {
    const byte = bytes[at];
    if (byte === COMMA || byte === LIST || byte === OBJECT) count += 1;
    else if (byte === QUOTE) {
      do {
        at = bytes.indexOf(QUOTE, at + 1);
        // A string without an end is no JSON.
        if (at === -1) return count;
      } while (isEscaped(bytes, at));
    }
  }
  return count;
}

/** Whether a byte stands behind an odd number of backslashes. */
function isEscaped(bytes: Uint8Array, at: number): boolean {
  let before = at;
  while (bytes[before - 1] === BACKSLASH) before -= 1;
  return (at - before) % 2 === 1;
}

/**
 * Checks depth, strings and names of a JSON value, without recursion.
 * @throws {GatewayError} `invalid_request` with the path of a string that is not well-formed, or of the object whose name is no text
 */
export function checkJson(value: unknown): void {
  const open: { value: unknown; path: string; depth: number }[] = [{ value, path: '', depth: 0 }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { value, path, depth } = next;
    if (typeof value === 'string') {
      if (!value.isWellFormed()) throw wrongText(path, 'text without lone surrogates');
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
          if (!isStorable(name)) throw wrongText(path, 'names without U+0000 and lone surrogates');
          open.push({ value: item, path: path ? `${path}.${name}` : name, depth: depth + 1 });
        }
      }
    }
  }
}

function wrongText(path: string, expected: string): GatewayError {
  const param = path.slice(0, 200);
  return new GatewayError('invalid_request', `${param || 'the body'}: expected ${expected}`, param ? { param } : {});
}

function tooLarge(most: string): GatewayError {
  return new GatewayError('body_too_large', `The body: expected at most ${most}.`);
}

const tooSlow = (): GatewayError =>
  new GatewayError('body_timeout', `The body came slower than ${LEAST_RATE} bytes a second, or stood still.`, {
    headers: { connection: 'close' },
  });
