/** The history of predictions, for keys that ask for it. */
import { report } from './http/log.ts';
import { randomText, sha256 } from './keys.ts';
import type { Call } from './operation.ts';
import { insertPrediction } from './tables/history.ts';
import { DAY_MS } from './time.ts';

const MAX_INPUT = 65_536;
const MAX_OUTPUT = 4_096;
/** The most numbers in a list that is no vector, such as dimensions. */
const MAX_NUMBERS = 16;

/** Keeps a prediction after its answer, and gives the answer back. */
export async function remember(call: Call, response: Response): Promise<Response> {
  const { host, key, event } = call;
  const bytes = new Uint8Array(await response.arrayBuffer());
  const type = response.headers.get('content-type') ?? '';
  const ms = Date.now() - event.at;
  const keep = async () => {
    const input = JSON.stringify(call.body ?? null);
    const kept = JSON.stringify(call.body ?? null, withoutVectors);
    const now = Date.now();
    await host.sql.batch([
      insertPrediction({
        id: predictionId(now),
        at: now,
        keyId: key.id,
        route: event.route,
        model: event.model ?? '',
        digest: sha256(input),
        // A part of an input would be no JSON.
        input: key.history === 'full' && kept.length <= MAX_INPUT ? kept : null,
        output: summary(bytes, type),
        ms,
        expiresAt: now + host.settings.HISTORY_DAYS * DAY_MS,
      }),
    ]);
  };
  host.hold(keep().catch((error) => report(host.settings, 'a prediction is not in the history', error, event.id)));
  return new Response(bytes, response);
}

/** An id that has the time in front, so that ids are in the order of time. */
function predictionId(now: number): string {
  return `pred_${now.toString(36).padStart(9, '0')}${randomText(12)}`;
}

/** An answer without its vectors and images, as JSON of at most 4 KiB. */
function summary(bytes: Uint8Array, type: string): string {
  if (!type.startsWith('application/json')) return JSON.stringify({ type, bytes: bytes.byteLength });
  const whole = JSON.parse(new TextDecoder().decode(bytes));
  const text = JSON.stringify(whole, summarized);
  if (text.length <= MAX_OUTPUT) return text;
  const short = Object.entries(whole).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value));
  const shortened = JSON.stringify({ ...Object.fromEntries(short), usage: whole.usage, shortened: true }, summarized);
  return shortened.length <= MAX_OUTPUT ? shortened : '{"shortened":true}';
}

const VECTORS = new Set(['embedding', 'embeddings', 'vector', 'vectors']);

/** Leaves out vectors, which tell much of a text: by their names, as they may be base64, and lists of numbers under other names. */
function withoutVectors(name: string, value: unknown): unknown {
  if (VECTORS.has(name) || ArrayBuffer.isView(value)) return undefined;
  return Array.isArray(value) && value.length > MAX_NUMBERS && typeof value[0] === 'number' ? undefined : value;
}

/** Leaves out long texts as well, such as images in base64. */
function summarized(name: string, value: unknown): unknown {
  return typeof value === 'string' && value.length > 1024 ? undefined : withoutVectors(name, value);
}
