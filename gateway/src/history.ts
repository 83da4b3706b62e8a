/** The history of predictions, for keys that ask for it. */
import { report } from './http/log.ts';
import { randomText, sha256 } from './keys.ts';
import type { Call } from './operation.ts';
import { insertPrediction } from './tables/history.ts';
import { DAY_MS } from './time.ts';

const MAX_INPUT = 65_536;
const MAX_OUTPUT = 4_096;

/** Keeps a prediction after its answer, and gives the answer back. */
export async function remember(call: Call, response: Response): Promise<Response> {
  const { host, key, event } = call;
  const bytes = new Uint8Array(await response.arrayBuffer());
  const type = response.headers.get('content-type') ?? '';
  const ms = Date.now() - event.at;
  const keep = async () => {
    const input = JSON.stringify(call.body ?? null);
    const now = Date.now();
    await host.sql.batch([
      insertPrediction({
        id: predictionId(now),
        at: now,
        keyId: key.id,
        route: event.route,
        model: event.model ?? '',
        digest: await sha256(input),
        // A part of an input would be no JSON.
        input: key.history === 'full' && input.length <= MAX_INPUT ? input : null,
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
  const text = JSON.stringify(whole, withoutVectors);
  if (text.length <= MAX_OUTPUT) return text;
  const short = Object.entries(whole).filter(([, value]) => ['string', 'number', 'boolean'].includes(typeof value));
  const shortened = JSON.stringify(
    { ...Object.fromEntries(short), usage: whole.usage, shortened: true },
    withoutVectors,
  );
  return shortened.length <= MAX_OUTPUT ? shortened : '{"shortened":true}';
}

function withoutVectors(name: string, value: unknown): unknown {
  if (name === 'embedding' || name === 'embeddings' || name === 'vector') return undefined;
  if (Array.isArray(value) && value.length > 16 && typeof value[0] === 'number') return undefined;
  return typeof value === 'string' && value.length > 1024 ? undefined : value;
}
