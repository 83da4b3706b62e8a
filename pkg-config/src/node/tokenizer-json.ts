import { PilotlightError } from '../error.js';

/** The parts of `tokenizer.json` that have ids; all others are kept as they are. */
export interface TokenizerJson {
  added_tokens?: { id: number; content: string }[];
  padding?: { pad_id?: number } | null;
  post_processor?: Processor | null;
  model: TokenizerModel;
}

export interface TokenizerModel {
  type?: string;
  /** The id of each piece, or of Unigram the pieces with their scores, in the order of their ids. */
  vocab: Record<string, number> | [piece: string, score: number][];
  /** The pairs that BPE joins, first those that it joins first. */
  merges?: (string | [left: string, right: string])[];
  unk_id?: number | null;
  unk_token?: string | null;
  continuing_subword_prefix?: string | null;
  end_of_word_suffix?: string | null;
}

interface Processor {
  type: string;
  processors?: Processor[];
  special_tokens?: Record<string, { ids: number[] }>;
  sep?: [string, number];
  cls?: [string, number];
}

const MODELS = ['WordPiece', 'Unigram', 'BPE'];

/** Reads `tokenizer.json`. @throws {PilotlightError} `UNSUPPORTED_MODEL` for a tokenizer whose vocabulary cannot be cut */
export function parseTokenizer(json: string): TokenizerJson {
  const tokenizer = JSON.parse(json) as TokenizerJson;
  const { model } = tokenizer;
  // Older files name no type.
  model.type ??= Array.isArray(model.vocab) ? 'Unigram' : model.merges ? 'BPE' : 'WordPiece';
  if (!MODELS.includes(model.type))
    throw refused(`its tokenizer is ${model.type}, expected one of ${MODELS.join(', ')}`);
  if (model.type === 'BPE' && (model.end_of_word_suffix || model.continuing_subword_prefix))
    throw refused('its BPE marks the parts of words, expected one of bytes or with ▁');
  return tokenizer;
}

/** An error of a model that `--vocabulary` cannot cut, with the reason. */
export function refused(reason: string): PilotlightError {
  return new PilotlightError(
    'UNSUPPORTED_MODEL',
    `--vocabulary: the vocabulary of this model cannot be cut, because ${reason}`,
  );
}

/** The pieces of the model by their ids, without the added tokens that it does not have. */
export function piecesOf({ vocab }: TokenizerModel): Map<number, string> {
  if (Array.isArray(vocab)) return new Map(vocab.map(([piece], id) => [id, piece]));
  return new Map(Object.entries(vocab).map(([piece, id]) => [id, piece]));
}

/** The median number of characters of a token, rounded down, as `src/text/tokenizer/static_embedding.rs` computes it. */
export function medianLength({ added_tokens = [], model }: TokenizerJson): number {
  const tokens = new Set([...piecesOf(model).values(), ...added_tokens.map(({ content }) => content)]);
  const lengths = [...tokens].map((token) => [...token].length).sort((a, b) => a - b);
  const at = (index: number): number => lengths[index] ?? 0;
  return Math.floor((at(Math.max(0, lengths.length - 1) >> 1) + at(lengths.length >> 1)) / 2);
}

/** The ids that a tokenizer names beside its vocabulary: of added, special, padding and unknown tokens. */
export function namedIds({ added_tokens = [], padding, post_processor, model }: TokenizerJson): number[] {
  const { vocab, unk_id, unk_token } = model;
  const unknown = unk_id ?? (typeof unk_token === 'string' && !Array.isArray(vocab) ? vocab[unk_token] : undefined);
  const ids = [...added_tokens.map(({ id }) => id), padding?.pad_id, unknown];
  eachProcessor(post_processor, ({ special_tokens = {}, sep, cls }) => {
    ids.push(...Object.values(special_tokens).flatMap((token) => token.ids), sep?.[1], cls?.[1]);
  });
  return ids.filter((id) => typeof id === 'number');
}

function eachProcessor(processor: Processor | null | undefined, visit: (processor: Processor) => void): void {
  if (!processor) return;
  visit(processor);
  for (const inner of processor.processors ?? []) eachProcessor(inner, visit);
}

/** Cuts a tokenizer, in place, to the ids that `renumbered` has, which it replaces, and BPE to these merges. */
export function cutTokenizer(
  tokenizer: TokenizerJson,
  renumbered: ReadonlyMap<number, number>,
  merges: TokenizerModel['merges'],
): void {
  const { added_tokens = [], padding, post_processor, model } = tokenizer;
  const anew = (id: number): number => renumbered.get(id) ?? id;
  if (Array.isArray(model.vocab)) model.vocab = model.vocab.filter((_, id) => renumbered.has(id));
  else {
    const kept = Object.entries(model.vocab).filter(([, id]) => renumbered.has(id));
    model.vocab = Object.fromEntries(kept.map(([piece, id]) => [piece, anew(id)]));
  }
  if (merges) model.merges = merges;
  if (typeof model.unk_id === 'number') model.unk_id = anew(model.unk_id);
  for (const token of added_tokens) token.id = anew(token.id);
  if (typeof padding?.pad_id === 'number') padding.pad_id = anew(padding.pad_id);
  eachProcessor(post_processor, ({ special_tokens = {}, sep, cls }) => {
    for (const token of Object.values(special_tokens)) token.ids = token.ids.map(anew);
    for (const pair of [sep, cls]) if (pair) pair[1] = anew(pair[1]);
  });
}
