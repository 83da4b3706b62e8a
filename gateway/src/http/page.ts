/** Pages of lists. Whoever reads one asks the database for one row more than its limit, which tells whether there are more. */
import * as v from 'valibot';

/** The most items of a page. */
export const limit = v.optional(
  v.pipe(v.string(), v.regex(/^([1-9]|[1-9]\d|100)$/, 'a number from 1 to 100'), v.transform(Number)),
  '20',
);

/** The schema of a page. */
export const page = <S extends v.GenericSchema>(item: S) =>
  v.object({ object: v.literal('list'), data: v.array(item), has_more: v.boolean() });

/** The schema of a page of files or batches, as OpenAI's clients read it. */
export const pageWithIds = <S extends v.GenericSchema>(item: S) =>
  v.object({
    object: v.literal('list'),
    data: v.array(item),
    first_id: v.nullable(v.string()),
    last_id: v.nullable(v.string()),
    has_more: v.boolean(),
  });

/** The page of rows. */
export const pageOf = <R>(rows: readonly R[], most: number, answer: (row: R) => object): object => ({
  object: 'list',
  data: rows.slice(0, most).map(answer),
  has_more: rows.length > most,
});

/** The page of rows, with the ids of its first and its last one. */
export const pageWithIdsOf = <R extends { id: string }>(
  rows: readonly R[],
  most: number,
  answer: (row: R) => object,
): object => ({
  ...pageOf(rows, most, answer),
  first_id: rows[0]?.id ?? null,
  last_id: rows[Math.min(rows.length, most) - 1]?.id ?? null,
});
