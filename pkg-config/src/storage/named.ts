import type { StoreOptions } from '../../types/index.js';
import { checkObject } from '../calls/check.js';
import type { Glue } from '../core/glue.js';
import type { CoreInstance } from '../core/instance.js';
import { PilotlightError, toPilotlightError } from '../error.js';
import { isShared, locksFor } from './locks.js';

/** Calls the core with a store. Saves of one name take locks among all tabs. */
export async function stored<T>(
  instance: CoreInstance,
  name: unknown,
  options: StoreOptions,
  work: (glue: Glue, resolved: object) => Promise<T>,
): Promise<T> {
  const { store } = checkObject('options', options) as StoreOptions;
  if (typeof name !== 'string' || name === '')
    throw new PilotlightError('INVALID_INPUT', `name: expected a text that is not empty, got ${kindOf(name)}`);
  const locks = locksFor(isShared(store), undefined);
  try {
    return await instance.run((glue) => work(glue, { store, locks }));
  } catch (error) {
    throw toPilotlightError(error);
  } finally {
    // A core that trapped has not released its locks.
    locks.endAll();
  }
}

/** Returns a description of a value's type for error messages. */
export const kindOf = (value: unknown): string =>
  value === null ? 'null' : value === '' ? 'an empty one' : typeof value;
