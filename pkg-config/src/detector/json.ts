import type { DetectorJson, EmbedderIdentity } from '../../types/index.js';
import { checkObject, shown } from '../calls/check.js';
import { decodeBase64 } from '../core/base64.js';
import type { CoreInstance } from '../core/instance.js';
import { PilotlightError } from '../error.js';
import type { HiddenEngine } from './engines.js';
import { NearestGate } from './gate.js';
import { type Columns, VectorHead } from './vector-head.js';

export const FORMAT = 'pilotlight-detector' as const;
export const VERSION = 1 as const;

const KINDS = ['likelihoods', 'hidden', 'classifier'];

/**
 * Checks what every detector's JSON has.
 * @throws {PilotlightError} `INVALID_INPUT`, naming the invalid part
 */
export function parse(json: string | object): DetectorJson {
  let saved: Partial<DetectorJson>;
  try {
    saved = typeof json === 'string' ? JSON.parse(json) : (checkObject('json', json) as Partial<DetectorJson>);
  } catch (error) {
    if (error instanceof PilotlightError) throw error;
    throw wrong(`is not valid: ${(error as Error).message}`, error);
  }
  if (saved?.format !== FORMAT) throw wrong(`format is ${shown(saved?.format)}, expected '${FORMAT}'`);
  if (saved.version !== VERSION) throw wrong(`version is ${shown(saved.version)}, expected ${VERSION}`);
  if (!KINDS.includes(saved.features as string))
    throw wrong(`features is ${shown(saved.features)}, expected '${KINDS.join("', '")}'`);
  checkObject('json: head', saved.head);
  if (saved.thresholds === undefined && saved.features !== 'classifier') throw wrong('thresholds is missing');
  if (saved.features === 'hidden' && !Number.isInteger(saved.layer))
    throw wrong(`layer is ${shown(saved.layer)}, expected the number of the layer whose states the head takes`);
  return saved as DetectorJson;
}

export const wrong = (what: string, cause?: unknown): PilotlightError =>
  new PilotlightError('INVALID_INPUT', `json: ${what}`, cause);

/** The head of a detector on hidden states, as JSON. */
interface HiddenJson {
  version: string;
  columns: Columns;
  head: object;
  /** Base64 of the examples of the gate, and its limit. */
  examples: string;
  limit: number;
  /** The threshold of `machine` of the fit. */
  machine?: number;
}

export function hiddenToJSON({ head, gate, version, floor }: HiddenEngine): HiddenJson {
  const { buffer, byteOffset, byteLength } = gate.examples;
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  return {
    version,
    ...head.toJSON(),
    examples: encodeBase64(bytes),
    limit: gate.limit,
    ...(floor !== undefined && { machine: floor }),
  };
}

/** @throws {PilotlightError} `INVALID_INPUT`, naming the invalid part */
export async function hiddenFromJSON(
  instance: CoreInstance,
  json: object,
): Promise<{ head: VectorHead; gate: NearestGate; version: string; floor: number | undefined }> {
  const { version, columns, head, examples, limit, machine } = json as Partial<HiddenJson>;
  const { mean, scale } = checkObject('json: head.columns', columns) as Partial<Columns>;
  const numbers = (list: unknown): list is number[] => Array.isArray(list) && list.every(Number.isFinite);
  if (!numbers(mean) || !numbers(scale) || mean.length !== scale.length || mean.length === 0)
    throw wrong('head.columns has no mean and scale of one length');
  if (typeof version !== 'string') throw wrong(`head.version is ${shown(version)}, expected a text`);
  if (typeof limit !== 'number') throw wrong(`head.limit is ${shown(limit)}, expected a number`);
  if (machine !== undefined && !Number.isFinite(machine))
    throw wrong(`head.machine is ${shown(machine)}, expected a number`);
  const rows = typeof examples === 'string' ? floatsOf(examples) : undefined;
  if (!rows || rows.length % mean.length !== 0 || rows.length === 0)
    throw wrong(`head.examples are not vectors of ${mean.length} values`);
  const own = { head: checkObject('json: head.head', head), columns: { mean, scale } };
  return {
    head: await VectorHead.fromJSON(instance, own),
    gate: new NearestGate(own.columns, rows, limit),
    version,
    floor: machine,
  };
}

function floatsOf(base64: string): Float32Array | undefined {
  try {
    return new Float32Array(decodeBase64(base64).buffer);
  } catch {
    return undefined;
  }
}

/** Characters that are handed to one function call. */
const PART = 1 << 14;

function encodeBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += PART) text += String.fromCharCode(...bytes.subarray(at, at + PART));
  return btoa(text);
}

/**
 * Refuses a decoder of another model than the one that read the texts of the fit, and returns sentences on what else is different.
 * @throws {PilotlightError} `INVALID_INPUT`
 */
export function compare(own: EmbedderIdentity, made: EmbedderIdentity | undefined): string[] {
  if (made?.model === undefined) return [];
  if (own.model === undefined)
    return [`The detector was fitted with ${made.model}, and the decoder does not say which model it is of.`];
  if (own.model !== made.model)
    throw new PilotlightError('INVALID_INPUT', `decoder: is of ${own.model}, expected ${made.model}`);
  return (['commit', 'dtype'] as const)
    .filter((name) => made[name] !== undefined && own[name] !== undefined && own[name] !== made[name])
    .map((name) => `The detector was fitted with ${name} '${made[name]}', and the decoder has '${own[name]}'.`);
}
