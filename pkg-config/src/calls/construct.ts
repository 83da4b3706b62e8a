import { PilotlightError } from '../error.js';

/** The key with which a class's static functions call its constructor; programs do not have it. */
export const CONSTRUCT = Symbol('pilotlight');

/** @throws {PilotlightError} `INVALID_INPUT` where `key` is not `CONSTRUCT`; the message names `instead` as the function to call */
export function checkConstruct(key: unknown, name: string, instead = 'load()'): void {
  if (key !== CONSTRUCT)
    throw new PilotlightError('INVALID_INPUT', `${name} has no constructor: use ${name}.${instead}`);
}
