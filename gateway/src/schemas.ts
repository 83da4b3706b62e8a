/** Schemas that several operations share. Each message says what was expected; the path of the field is put before it. */
import * as v from 'valibot';

export const text = v.string('a string');

/** The name of a model, a head or an index. */
export const name = v.pipe(
  text,
  v.regex(/^[\w.-]+(\/[\w.-]+)?$/, 'a name of letters, digits, ".", "_" and "-"'),
  v.maxLength(128, 'at most 128 characters'),
);

/** An object that has these fields and no others. */
export function fields<const E extends v.ObjectEntries>(entries: E) {
  return v.strictObject(entries, (issue) =>
    issue.expected === 'never' ? 'unknown field' : issue.path ? 'is missing' : 'a JSON object',
  );
}
