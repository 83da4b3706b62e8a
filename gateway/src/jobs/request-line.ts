/** One line of a batch's file: `{"custom_id", "method": "POST", "url", "body"}`. */
import * as v from 'valibot';
import { parseJson } from '../http/body.ts';
import { GatewayError } from '../http/errors.ts';
import { validate } from '../http/validate.ts';
import { fields, isStorable, noList, stored } from '../schemas.ts';
import { MAX_CUSTOM_ID } from './limits.ts';

const schema = fields({
  custom_id: v.pipe(
    stored,
    v.minLength(1, 'at least 1 character'),
    v.maxLength(MAX_CUSTOM_ID, `at most ${MAX_CUSTOM_ID} characters`),
  ),
  method: v.literal('POST', '"POST"'),
  url: v.string('a string'),
  body: noList(v.looseObject({}, 'an object')),
});

export interface RequestLine {
  customId: string;
  body: Record<string, unknown>;
}

/** The request of a line, or the error of a line that has none, with the line's `custom_id` where it can be read. */
export type ReadLine = RequestLine | { customId: string | null; error: GatewayError };

export function readRequest(bytes: Uint8Array, endpoint: string): ReadLine {
  try {
    const { custom_id: customId, url, body } = validate(schema, parseJson(bytes), 'the body');
    if (url !== endpoint) {
      throw new GatewayError('invalid_request', `url: expected ${endpoint}, the endpoint of the batch`, {
        param: 'url',
      });
    }
    return { customId, body };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { customId: customIdIn(bytes), error };
  }
}

/** The `custom_id` of a line that may have any other fault; null where it cannot name an answer. */
export function customIdIn(bytes: Uint8Array): string | null {
  let id: unknown;
  try {
    id = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))?.custom_id;
  } catch {
    return null;
  }
  return typeof id === 'string' && id.length > 0 && id.length <= MAX_CUSTOM_ID && isStorable(id) ? id : null;
}
