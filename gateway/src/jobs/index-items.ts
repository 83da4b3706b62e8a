/** Lines of the files that indexes are built from: items, or the answers of a batch. */
import * as v from 'valibot';
import { parseJson } from '../http/body.ts';
import { GatewayError } from '../http/errors.ts';
import { validate } from '../http/validate.ts';
import { floatsOf } from '../models/vectors.ts';
import { fields, stored } from '../schemas.ts';
import type { Source } from '../tables/indexes.ts';

/** An item that goes into an index, as a vector or as a text to embed. */
export interface Item {
  id: string | number;
  /** The vector; an item has either this or a text. */
  vector?: Float32Array;
  text?: string;
  tags: string[];
  /** The model that made the vector, where the line tells it. */
  model?: string;
}

/** The most values of an answer, whose vectors may be lists of numbers: as many as its longest line has in honest ones. */
const MAX_ANSWER_VALUES = 1 << 20;

/** The error of a line that has no valid item. */
export class BadItem extends Error {
  override readonly name = 'BadItem';
}

const idMessage = 'a string of 1 to 512 characters or a whole number';
const id = v.union(
  [
    v.pipe(stored, v.minLength(1, idMessage), v.maxLength(512, idMessage)),
    v.pipe(v.number(), v.safeInteger(idMessage)),
  ],
  idMessage,
);

const vectorMessage = 'a list of 1 to 32768 finite numbers, or base64 of 32-bit floats';

/** A vector as numbers, or as base64 of 32-bit floats, least significant byte first, as OpenAI's answers have it. */
export const vector = v.pipe(
  v.union(
    [
      v.pipe(
        v.array(v.pipe(v.number(vectorMessage), v.finite(vectorMessage))),
        v.minLength(1, vectorMessage),
        v.maxLength(32_768, vectorMessage),
      ),
      v.pipe(v.string(), v.maxLength(174_764, vectorMessage), v.base64(vectorMessage)),
    ],
    vectorMessage,
  ),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const floats = typeof dataset.value === 'string' ? floatsOf(dataset.value) : Float32Array.from(dataset.value);
    if (floats) return floats;
    addIssue({ message: vectorMessage });
    return NEVER;
  }),
);

export const tags = v.pipe(
  v.array(
    v.pipe(stored, v.minLength(1, 'at least 1 character'), v.maxLength(128, 'at most 128 characters')),
    'a list of strings',
  ),
  v.maxLength(64, 'at most 64 tags'),
);

const item = v.pipe(
  fields({
    id,
    vector: v.optional(vector),
    text: v.optional(v.pipe(v.string('a string'), v.minLength(1, 'at least 1 character'))),
    tags: v.optional(tags, []),
  }),
  v.check((value) => (value.vector === undefined) !== (value.text === undefined), 'either "vector" or "text"'),
);

const embedding = 'a list of embeddings';
/** An answer of a batch; what else it has does not matter here. */
const answer = v.object(
  {
    custom_id: id,
    response: v.object(
      {
        body: v.object(
          {
            model: v.optional(v.string('a string')),
            data: v.pipe(v.array(v.object({ embedding: vector }, embedding), embedding), v.minLength(1, embedding)),
          },
          'an answer with embeddings',
        ),
      },
      'a response',
    ),
  },
  'an answer of a batch',
);

/**
 * The items of a line. An answer with one vector has the `custom_id` as its id; of one with several, each has `#` and its number behind it.
 * @throws {BadItem} naming the line and the field
 */
export function readItems(bytes: Uint8Array, kind: Source['kind'], line: number): Item[] {
  try {
    const value = parseJson(bytes, kind === 'answers' ? MAX_ANSWER_VALUES : undefined);
    if (kind === 'items') {
      const { id, vector, text, tags } = validate(item, value, 'the body');
      return [{ id, tags, ...(vector ? { vector } : {}), ...(text === undefined ? {} : { text }) }];
    }
    const { custom_id, response } = validate(answer, value, 'the body');
    const { data, model } = response.body;
    return data.map(({ embedding }, at) => ({
      id: data.length === 1 ? custom_id : `${custom_id}#${at}`,
      vector: embedding,
      tags: [],
      ...(model === undefined ? {} : { model }),
    }));
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    throw new BadItem(`line ${line}: ${error.message}`, { cause: error });
  }
}
