import { namedIds, piecesOf, refused, type TokenizerJson, type TokenizerModel } from './tokenizer-json.js';

/** The part of a vocabulary that is kept. */
export interface KeptVocabulary {
  /** The ids that are kept, ascending: the place of each is its new id. */
  ids: number[];
  /** The merges of BPE that are kept, in their order. */
  merges?: NonNullable<TokenizerModel['merges']>;
}

/** The piece of a byte that has no character of its own. */
const BYTE = /^<0x[0-9A-Fa-f]{2}>$/;

/**
 * Chooses the pieces that are kept: those of the texts, the named ones, and all characters and bytes, so that no text becomes unknown that was
 * known. Texts that only have kept pieces are tokenized as before.
 * @param used the ids in the texts
 * @param named ids that the model's configs name
 * @param rows the number of ids that the model knows
 */
export function keptVocabulary(
  tokenizer: TokenizerJson,
  used: Iterable<number>,
  named: Iterable<number>,
  rows: number,
): KeptVocabulary {
  const { model } = tokenizer;
  const pieces = piecesOf(model);
  checkAdded(tokenizer, pieces);
  const ids = new Set([...used, ...named, ...namedIds(tokenizer)]);
  for (const [id, piece] of pieces) if (isCharacter(piece, model)) ids.add(id);
  if (Array.isArray(model.vocab)) ids.add(lowest(model.vocab));
  const merges = model.type === 'BPE' ? keptMerges(model, pieces, ids) : undefined;
  const kept = [...ids].filter((id) => id >= 0 && id < rows && Number.isInteger(id)).sort((a, b) => a - b);
  return { ids: kept, ...(merges && { merges }) };
}

/** Readers number the added tokens that the vocabulary does not have from its end on, whatever the file says. */
function checkAdded({ added_tokens = [] }: TokenizerJson, pieces: ReadonlyMap<number, string>): void {
  const names = new Set(pieces.values());
  const added = added_tokens.filter(({ content }) => !names.has(content)).map(({ id }) => id);
  const stray = added.find((id, index) => id !== pieces.size + index);
  if (stray !== undefined) throw refused(`tokenizer.json numbers an added token ${stray}, past its other tokens`);
  const last = Math.max(...pieces.keys());
  if (last !== pieces.size - 1) throw refused(`tokenizer.json numbers ${pieces.size} pieces up to ${last}`);
}

function isCharacter(piece: string, { type, continuing_subword_prefix }: TokenizerModel): boolean {
  if (BYTE.test(piece)) return true;
  const prefix = type === 'WordPiece' ? (continuing_subword_prefix ?? '##') : '▁';
  const rest = prefix && piece.startsWith(prefix) ? piece.slice(prefix.length) : piece;
  // At most one character, of one or two units.
  return rest.length <= 2 && [...rest].length <= 1;
}

/** The piece of Unigram with the lowest score, from which the score of an unknown character is computed. */
function lowest(vocab: [string, number][]): number {
  let id = 0;
  vocab.forEach(([, score], other) => {
    if (score < (vocab[id]?.[1] ?? 0)) id = other;
  });
  return id;
}

/** Finds the merges that make the pieces in `ids` from characters, and adds the pieces in between to `ids`. */
function keptMerges(
  { vocab, merges = [] }: TokenizerModel,
  pieces: ReadonlyMap<number, string>,
  ids: Set<number>,
): NonNullable<TokenizerModel['merges']> {
  const known = vocab as Record<string, number>;
  const ranks = new Map<string, number>();
  merges.forEach((merge, rank) => {
    const [left = '', right = ''] = typeof merge === 'string' ? merge.split(' ') : merge;
    ranks.set(keyOf(left, right), rank);
  });
  const needed = new Set<number>();
  for (const id of [...ids]) {
    const piece = pieces.get(id);
    if (piece === undefined || BYTE.test(piece)) continue;
    // A word has this piece after the same merges, whatever stands beside it: none of them reached over its ends.
    const parts = [...piece];
    for (;;) {
      let [best, at] = [Infinity, -1];
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = ranks.get(keyOf(parts[i] ?? '', parts[i + 1] ?? '')) ?? Infinity;
        if (rank < best) [best, at] = [rank, i];
      }
      if (at < 0) break;
      const joined = parts.slice(at, at + 2).join('');
      parts.splice(at, 2, joined);
      needed.add(best);
      const between = known[joined];
      if (between !== undefined) ids.add(between);
    }
  }
  return merges.filter((_, rank) => needed.has(rank));
}

const keyOf = (left: string, right: string): string => `${left.length} ${left}${right}`;
