import { PilotlightError } from '../error.js';

/** Checks the names of a model and its revision. They become parts of a URL's path, where `..` would lead out of the model's folder. */
export function checkModel(model: unknown, { revision = 'main' }: { revision?: unknown }): asserts model is string {
  checkName('model', model, "a name such as 'owner/model'");
  checkName('revision', revision, 'a branch, tag or commit');
}

function checkName(what: string, name: unknown, expected: string): asserts name is string {
  if (typeof name !== 'string')
    throw new PilotlightError('INVALID_INPUT', `${what}: expected ${expected}, got ${typeof name}`);
  if (name.split('/').some((part) => ['', '.', '..'].includes(part.trim()))) {
    throw new PilotlightError('INVALID_INPUT', `${what}: expected ${expected}, got '${name}'`);
  }
}

/** Returns `value` after a check that it is an object; `name` is its name in messages. */
export function checkObject(name: string, value: unknown): object {
  if (typeof value === 'object' && value !== null) return value;
  throw new PilotlightError(
    'INVALID_INPUT',
    `${name}: expected an object, got ${value === null ? 'null' : typeof value}`,
  );
}

/** @throws {PilotlightError} `INVALID_INPUT` where `onProgress` is no function */
export function checkListener({ onProgress }: { onProgress?: unknown }): void {
  if (onProgress === undefined || onProgress === null || typeof onProgress === 'function') return;
  throw new PilotlightError('INVALID_INPUT', `onProgress: expected a function, got ${typeof onProgress}`);
}

/** Checks that an option is 'auto' or a whole number from 1 to `most`; `name` is its name in messages. */
export function checkCount(name: string, value: unknown, most: number): void {
  if (value === 'auto' || (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most)) return;
  throw new PilotlightError(
    'INVALID_INPUT',
    `${name}: expected 'auto' or a whole number from 1 to ${most}, got ${shown(value)}`,
  );
}

/** A value that was not expected, for messages. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/** The value of an object's own property; a label may be named like a property that every object has. */
export function ownValue<T>(values: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}
