import type { Example } from './delimited';

/** A row of the table of examples. */
export interface Row extends Example {
  id: number;
}

/** Returns the rows that replace the given rows of the table. */
export type Change = (rows: readonly Row[]) => readonly Row[];

let last = 0;

/** Makes rows of examples; without an argument an empty one. */
export function rowsOf(examples: readonly Example[] = [{ text: '', label: '' }]): Row[] {
  return examples.map(({ text, label }) => {
    last += 1;
    return { id: last, text, label };
  });
}

export const isEmpty = ({ text, label }: Row): boolean => !text.trim() && !label.trim();

/** The complete examples among the rows, and counts for the page. */
export interface Lesson {
  examples: Example[];
  labels: number;
  /** The number of rows that lack their text or their label. */
  unfinished: number;
}

/** Picks the rows that have a text and a label. */
export function lessonOf(rows: readonly Row[]): Lesson {
  const examples: Example[] = [];
  let unfinished = 0;
  for (const row of rows) {
    const text = row.text.trim();
    const label = row.label.trim();
    if (text && label) examples.push({ text, label });
    else if (!isEmpty(row)) unfinished += 1;
  }
  return { examples, labels: new Set(examples.map(({ label }) => label)).size, unfinished };
}

/** Writes a text or a label into a row. */
export function written(id: number, value: Partial<Example>): Change {
  return (rows) => rows.map((row) => (row.id === id ? { ...row, ...value } : row));
}

/** Takes a row out. */
export function without(id: number): Change {
  return (rows) => rows.filter((row) => row.id !== id);
}

/** Puts rows after another one, whose place they take where it is empty; without another one they come first. */
export function placed(added: readonly Row[], after?: number): Change {
  return (rows) => {
    const at = rows.findIndex(({ id }) => id === after);
    const before = rows[at];
    const keep = before && isEmpty(before) && added.some((row) => !isEmpty(row)) ? at : at + 1;
    return [...rows.slice(0, keep), ...added, ...rows.slice(at + 1)];
  };
}
