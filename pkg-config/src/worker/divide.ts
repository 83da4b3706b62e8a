import { isCoreGone, PilotlightError } from '../error.js';

/** A way to divide a call about a list among workers. Each item's result is the same to the bit, whatever else is in the list. */
export interface Division {
  /** The number of items, and how much work each is; `undefined` where the call cannot be divided. */
  weigh(args: readonly unknown[]): number[] | undefined;
  /** The arguments of a call about some of the items. */
  part(args: readonly unknown[], from: number, to: number): unknown[];
  /** Joins the results, which are in the order of the items. */
  join(parts: readonly Part[]): unknown;
  /** The least work that is worth a call. */
  least: number;
}

export interface Part {
  from: number;
  value: unknown;
}

/** Rows of vectors, with what is told of each text. */
interface Rows {
  data: Float32Array | Int8Array | Uint8Array;
  dims: [number, number];
  tokens?: number[];
  truncated?: boolean[];
  /** Indices of images, each before its error. */
  errors?: unknown[];
}

/** Characters of a piece: about the 512 tokens that a core computes at once. */
const PIECE = 2000;

/** The least cost of a text, in characters: its special tokens, and the way there and back. */
const OVERHEAD = 16;

const weighTexts = (texts: unknown): number[] | undefined =>
  // The core says what is wrong with it.
  Array.isArray(texts) && texts.every((text) => typeof text === 'string')
    ? texts.map((text: string) => text.length + OVERHEAD)
    : undefined;

const texts = (join: Division['join']): Division => ({
  weigh: ([list]) => weighTexts(list),
  part: ([list, ...rest], from, to) => [(list as string[]).slice(from, to), ...rest],
  join,
  least: PIECE,
});

const pairs: Division = {
  weigh: ([query, documents]) =>
    typeof query === 'string' ? weighTexts(documents)?.map((weight) => weight + query.length) : undefined,
  part: ([query, documents, ...rest], from, to) => [query, (documents as string[]).slice(from, to), ...rest],
  join: joinLists,
  least: PIECE,
};

const images: Division = {
  weigh: ([count]) => Array.from({ length: count as number }, () => 1),
  part: ([, read, ...rest], from, to) => [
    to - from,
    (index: number) => (read as (index: number) => unknown)(from + index),
    ...rest,
  ],
  join: joinRows,
  least: 1,
};

/** The calls that can be divided, by class and method of the glue. */
export const DIVISIONS: Readonly<Record<string, Division>> = {
  'TextEmbedderHandle.embed': texts(joinRows),
  'TextEmbedderHandle.hiddenStates': texts(joinRows),
  'ImageTextEmbedderHandle.embedTexts': texts(joinRows),
  'ImageTextEmbedderHandle.embedImages': images,
  'SequenceClassifierHandle.classify': texts(joinLists),
  'SequenceClassifierHandle.scorePairs': pairs,
  'DecoderHandle.hiddenStates': texts(joinRows),
  'DecoderHandle.likelihoods': texts(joinLists),
};

/** Cuts a list into runs of items, each of about `least` work; the longest list into a few hundred. */
export function piecesOf(weights: readonly number[], least: number): [from: number, to: number][] {
  const pieces: [number, number][] = [];
  let from = 0;
  let work = 0;
  for (const [i, weight] of weights.entries()) {
    work += weight;
    if (work < least) continue;
    pieces.push([from, i + 1]);
    from = i + 1;
    work = 0;
  }
  if (from < weights.length) pieces.push([from, weights.length]);
  return pieces;
}

function joinLists(parts: readonly Part[]): unknown[] {
  return parts.flatMap(({ value }) => value as unknown[]);
}

function joinRows(parts: readonly Part[]): Rows {
  const rows = parts.map(({ value }) => value as Rows);
  const [first] = rows as [Rows];
  const length = rows.reduce((sum, { data }) => sum + data.length, 0);
  const data = new (first.data.constructor as new (length: number) => Rows['data'])(length);
  let at = 0;
  for (const row of rows) {
    data.set(row.data, at);
    at += row.data.length;
  }
  const count = rows.reduce((sum, { dims }) => sum + dims[0], 0);
  return {
    data,
    dims: [count, Math.max(...rows.map(({ dims }) => dims[1]))],
    ...(first.tokens && { tokens: rows.flatMap(({ tokens = [] }) => tokens) }),
    ...(first.truncated && { truncated: rows.flatMap(({ truncated = [] }) => truncated) }),
    ...(first.errors && { errors: parts.flatMap(({ from, value }) => moved((value as Rows).errors ?? [], from)) }),
  };
}

/** Indices of images, and their names in messages, are those of the part. */
const moved = (errors: readonly unknown[], from: number): unknown[] =>
  errors.map((entry) => (typeof entry === 'number' ? entry + from : renamed(entry, from)));

/** Returns an error whose message calls an item by its index in the whole list. */
export function renamed(error: unknown, from: number): unknown {
  if (isCoreGone(error)) return error;
  if (!(error instanceof PilotlightError)) return error;
  const message = error.message.replace(/^(\w+)\[(\d+)\]/, (_, list, index) => `${list}[${Number(index) + from}]`);
  return new PilotlightError(error.code, message, error.cause, error);
}
