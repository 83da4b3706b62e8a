import { cores } from '#runtime';
import type * as Api from '../types/index.js';
import { checkObject, shown } from './calls/check.js';
import type { Glue } from './core/glue.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { stored } from './storage/named.js';

/** The digits of a time in an id: ids in the order of their characters are in the order of their times, for 300 years. */
const TIME_DIGITS = 13;

/** Keeps detections on this device, each under a name of its own, so that tabs which add records at the same time lose none. */
export class DetectionHistory implements Api.DetectionHistory {
  readonly #options: Api.StoreOptions;

  constructor(options: Api.StoreOptions = {}) {
    this.#options = checkObject('options', options);
  }

  async add(
    text: string,
    detection: Api.Detection,
    options: { keepText?: boolean } = {},
  ): Promise<Api.DetectionRecord> {
    if (typeof text !== 'string')
      throw new PilotlightError('INVALID_INPUT', `text: expected a text, got ${shown(text)}`);
    const { score, verdict, head } = checkObject('detection', detection) as Api.Detection;
    if (typeof verdict !== 'string')
      throw new PilotlightError('INVALID_INPUT', `detection.verdict: expected a text, got ${shown(verdict)}`);
    const { keepText = false } = checkObject('options', options) as { keepText?: boolean };
    const time = Date.now();
    const id = `${String(time).padStart(TIME_DIGITS, '0')}-${crypto.randomUUID().slice(0, 8)}`;
    const digest = await sha256(text);
    const record: Api.DetectionRecord = {
      id,
      digest,
      length: text.length,
      ...(score !== undefined && { score }),
      verdict,
      head,
      time,
      ...(keepText && { text }),
    };
    await this.#store(id, ({ saveText }, resolved) => saveText('record', id, JSON.stringify(record), resolved));
    return record;
  }

  async list(): Promise<Api.DetectionRecord[]> {
    const ids = await this.#ids();
    const records: Api.DetectionRecord[] = [];
    for (const id of ids.reverse()) {
      const json = await this.#store(id, ({ loadText }, resolved) => loadText('record', id, resolved));
      // Another tab may have deleted it meanwhile.
      if (json !== undefined) records.push(JSON.parse(json));
    }
    return records;
  }

  async export(): Promise<string> {
    return JSON.stringify(await this.list(), null, 2);
  }

  delete(id: string): Promise<boolean> {
    return this.#store(id, ({ deleteText }, resolved) => deleteText('record', id, resolved));
  }

  async clear(): Promise<number> {
    const ids = await this.#ids();
    for (const id of ids) await this.delete(id);
    return ids.length;
  }

  #ids(): Promise<string[]> {
    // A name is required, and no record has this one.
    return this.#store('*', ({ listTexts }, resolved) => listTexts('record', resolved));
  }

  async #store<T>(name: string, work: (glue: Glue, resolved: object) => Promise<T>): Promise<T> {
    try {
      const instance = await cores.cpu.instance();
      return await stored(instance, name, this.#options, work);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }
}

async function sha256(text: string): Promise<string> {
  if (!globalThis.crypto?.subtle)
    throw new PilotlightError(
      'BACKEND_UNAVAILABLE',
      'digests need crypto.subtle, which only secure pages (https) have',
    );
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
