import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { PilotlightError } from '../error.js';

/** The most characters of a line: a file without line breaks is no list of texts. */
const LONGEST = 1 << 20;

/** The fewest pairs for which a rank correlation is meaningful. */
const FEWEST = 24;

const wrong = (option: string, file: string, words: string, cause?: unknown): PilotlightError =>
  new PilotlightError('INVALID_INPUT', `--${option}: ${file} ${words}`, cause);

/** Checks that a file can be read more than once. */
async function checkFile(option: string, file: string): Promise<void> {
  const found = await stat(file).catch((error: Error) => {
    throw wrong(option, file, `cannot be read (${error.message})`, error);
  });
  if (!found.isFile()) throw wrong(option, file, 'is no file, and is read twice');
}

/** Yields the texts of a corpus, one a line, without empty lines. @throws {PilotlightError} `INVALID_INPUT` naming the file */
export async function* corpusTexts(file: string): AsyncGenerator<string> {
  await checkFile('vocabulary', file);
  let [rest, line, texts] = ['', 0, 0];
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (bytes?: Uint8Array): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (error) {
      throw wrong('vocabulary', file, `is not UTF-8 after line ${line}`, error);
    }
  };
  for await (const bytes of createReadStream(file)) {
    const lines = (rest + decode(bytes as Buffer)).split('\n');
    rest = lines.pop() ?? '';
    for (const text of lines) {
      line += 1;
      if (text.length > LONGEST) throw wrong('vocabulary', file, tooLong(line));
      if (text.trim() === '') continue;
      texts += 1;
      yield text.replace(/\r$/, '');
    }
    if (rest.length > LONGEST) throw wrong('vocabulary', file, tooLong(line + 1));
  }
  rest += decode();
  if (rest.trim() !== '') {
    texts += 1;
    yield rest.replace(/\r$/, '');
  }
  if (texts === 0) throw wrong('vocabulary', file, 'has no text, expected one in each line');
}

/** Checks that a corpus can be read and has a text. @throws {PilotlightError} `INVALID_INPUT` naming the file */
export async function checkCorpus(file: string): Promise<void> {
  for await (const _ of corpusTexts(file)) return;
}

const tooLong = (line: number): string =>
  `has more than ${LONGEST} characters in line ${line}, expected one text a line`;

/** Pairs of sentences with the scores that people gave them. */
export interface Pairs {
  first: string[];
  second: string[];
  scores: number[];
}

const COLUMNS = ['sentence1', 'sentence2', 'score'];

/** Reads pairs from a CSV file, with or without a line that names the columns. @throws {PilotlightError} `INVALID_INPUT` naming the file */
export async function readPairs(file: string): Promise<Pairs> {
  await checkFile('evaluate', file);
  const bytes = await readFile(file);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw wrong('evaluate', file, 'is not UTF-8', error);
  }
  const rows = csvRows(text, (words) => wrong('evaluate', file, words));
  const names = rows[0]?.map((name) => name.trim().toLowerCase()) ?? [];
  const named = COLUMNS.every((name) => names.includes(name));
  const at = COLUMNS.map((name, place) => (named ? names.indexOf(name) : place));
  const pairs: Pairs = { first: [], second: [], scores: [] };
  rows.slice(named ? 1 : 0).forEach((row, index) => {
    const [first, second, score] = at.map((place) => row[place]);
    const number = score?.trim() ? Number(score) : Number.NaN;
    if (first === undefined || second === undefined || !Number.isFinite(number))
      throw wrong('evaluate', file, `has no ${COLUMNS.join(',')} in row ${index + (named ? 2 : 1)}`);
    pairs.first.push(first);
    pairs.second.push(second);
    pairs.scores.push(number);
  });
  const { length } = pairs.scores;
  if (length < FEWEST) throw wrong('evaluate', file, `has ${length} pairs, expected ${FEWEST} or more`);
  if (new Set(pairs.scores).size === 1) throw wrong('evaluate', file, 'has the same score in all pairs');
  return pairs;
}

/** The fields of CSV as RFC 4180 defines it; empty lines are left out. */
function csvRows(text: string, fail: (words: string) => PilotlightError): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  // A field in quotes, in which two quotes are one, or without; then a comma, a line break or the end.
  const field = /(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n]*))(,|\r\n?|\n|$)/gy;
  while (field.lastIndex < text.length) {
    const { lastIndex } = field;
    const found = field.exec(text);
    if (!found)
      throw fail(`has a quote out of place in row ${rows.length + 1}, near '${text.slice(lastIndex, lastIndex + 20)}'`);
    const [, quoted, plain = '', end] = found;
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ',' && field.lastIndex < text.length) continue;
    if (row.length > 1 || row[0] !== '') rows.push(row);
    row = [];
  }
  // A comma at the end of the file has an empty field after it.
  if (row.length > 0) rows.push([...row, '']);
  return rows;
}

/** Spearman's rank correlation; equal values share the mean of their ranks. */
export function spearman(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [ranks(a), ranks(b)];
  const mean = (a.length - 1) / 2;
  let [products, squaresX, squaresY] = [0, 0, 0];
  x.forEach((rank, index) => {
    const [dx, dy] = [rank - mean, (y[index] ?? 0) - mean];
    products += dx * dy;
    squaresX += dx * dx;
    squaresY += dy * dy;
  });
  return products / Math.sqrt(squaresX * squaresY);
}

function ranks(values: readonly number[]): number[] {
  const order = values.map((_, index) => index).sort((i, j) => (values[i] ?? 0) - (values[j] ?? 0));
  const ranked = new Array<number>(values.length);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to + 1 < order.length && values[order[to + 1] ?? 0] === values[order[from] ?? 0]) to += 1;
    for (let i = from; i <= to; i++) ranked[order[i] ?? 0] = (from + to) / 2;
    from = to + 1;
  }
  return ranked;
}
