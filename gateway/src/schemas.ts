/** Schemas that several operations share. Each message says what was expected; the path of the field is put before it. */
import * as v from 'valibot';

export const text = v.string('a string');

/** Whether a database keeps a text as it is: Postgres refuses U+0000, and UTF-8 has no half of a surrogate pair. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** A text that comes into a table. Halves of surrogate pairs are refused before, in the whole body. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is what is refused
export const stored = v.pipe(text, v.regex(/^[^\u0000]*$/, 'text without U+0000'));

/** The name of a model, a head or an index. */
export const name = v.pipe(
  text,
  v.regex(/^[\w.-]+(\/[\w.-]+)?$/, 'a name of letters, digits, ".", "_" and "-"'),
  v.maxLength(128, 'at most 128 characters'),
);

/** A whole number within bounds. */
export const whole = (least: number, most: number) => {
  const expected = `a whole number from ${least} to ${most}`;
  return v.pipe(v.number(expected), v.integer(expected), v.minValue(least, expected), v.maxValue(most, expected));
};

/** An object that has these fields and no others. */
export function fields<const E extends v.ObjectEntries>(entries: E) {
  return noList(
    v.strictObject(entries, (issue) =>
      issue.expected === 'never' ? 'unknown field' : issue.path ? 'is missing' : 'a JSON object',
    ),
  );
}

/** A schema of objects that does not take lists, which valibot takes for objects. */
export function noList<S extends v.GenericSchema>(schema: S): S {
  const run = schema['~run'].bind(schema) as v.GenericSchema['~run'];
  return Object.assign(schema, {
    '~run': (dataset: v.UnknownDataset, config: v.Config<v.BaseIssue<unknown>>) =>
      run(Array.isArray(dataset.value) ? { value: undefined } : dataset, config),
  });
}
