/** Names of files, batches and builds. They begin with their time, so that they sort by it, and the cron job can tell how old an object is. */
import { hex } from '../bytes.ts';

const TIME = 9;

/** A new name, such as `file-0mf1x2y3z` and 24 random digits. */
export function newId(prefix: string, now: number = Date.now()): string {
  const digits = hex(crypto.getRandomValues(new Uint8Array(12)));
  return `${prefix}${now.toString(36).padStart(TIME, '0')}${digits}`;
}

/** The time of a name that `newId` made with this prefix; undefined for any other. */
export function timeOf(id: string, prefix: string): number | undefined {
  const rest = id.slice(prefix.length);
  if (!id.startsWith(prefix) || !/^[0-9a-z]{9}[0-9a-f]{24}/.test(rest)) return undefined;
  return Number.parseInt(rest.slice(0, TIME), 36);
}

/** A number inside a statement. Statements of many rows would need more parameters than D1 takes. */
export function int(value: number): string {
  if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not a whole number`);
  return String(value);
}
