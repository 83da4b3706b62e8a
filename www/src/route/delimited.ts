/** A text with its label. */
export interface Example {
  text: string;
  label: string;
}

/** Words of a first line that names its columns. */
const TEXT_NAMES = /^(text|request|query|sentence|example)$/i;
const LABEL_NAMES = /^(label|intent|category|class)$/i;

/**
 * Reads examples out of a table as spreadsheets copy it, with tabs, or of comma-separated text. The label is what stands after the last
 * tab or comma of a line; a line without one is a text whose label is missing.
 */
export function parseExamples(source: string): Example[] {
  const separator = source.includes('\t') ? '\t' : ',';
  const examples = fieldsOf(source, separator)
    .map((fields) => {
      const label = fields.length > 1 ? tidy(fields.at(-1) ?? '') : '';
      const text = tidy(fields.length > 1 ? fields.slice(0, -1).join(separator) : (fields[0] ?? ''));
      return { text, label };
    })
    .filter(({ text, label }) => text || label);
  const [first] = examples;
  const named = first && TEXT_NAMES.test(first.text) && LABEL_NAMES.test(first.label);
  return named ? examples.slice(1) : examples;
}

const tidy = (field: string): string => field.replace(/\s+/g, ' ').trim();

/** Splits lines into their fields. A field in quotation marks may hold separators, line breaks and doubled quotation marks. */
function fieldsOf(source: string, separator: string): string[][] {
  const lines: string[][] = [];
  let fields: string[] = [];
  let at = 0;
  while (at < source.length) {
    const quoted = source[at] === '"' ? closing(source, at, separator) : -1;
    const end = quoted < 0 ? nextBreak(source, at, separator) : quoted + 1;
    fields.push(quoted < 0 ? source.slice(at, end) : source.slice(at + 1, quoted).replaceAll('""', '"'));
    if (source[end] !== separator) {
      lines.push(fields);
      fields = [];
    } else if (end + 1 === source.length) fields.push('');
    at = end + (source.startsWith('\r\n', end) ? 2 : 1);
  }
  if (fields.length > 0) lines.push(fields);
  return lines;
}

/** Returns the end of a field that has no quotation marks around it. */
function nextBreak(source: string, from: number, separator: string): number {
  let at = from;
  while (at < source.length && source[at] !== separator && source[at] !== '\n' && source[at] !== '\r') at += 1;
  return at;
}

/** The quotation mark that ends a field; -1 where there is none, so that the first one is a part of the text. */
function closing(source: string, open: number, separator: string): number {
  for (let at = source.indexOf('"', open + 1); at >= 0; at = source.indexOf('"', at + 1)) {
    if (source[at + 1] === '"') {
      at += 1;
      continue;
    }
    const after = source[at + 1];
    return after === undefined || after === separator || after === '\n' || after === '\r' ? at : -1;
  }
  return -1;
}
