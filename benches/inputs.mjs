// The texts of the peers' bench.
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Every case is a list of inputs that are run one after the other; `ids` for those who take no text. */
export function readInputs(minilm, sts) {
  const words = wholeWords(minilm);
  const sentences = readSentences(sts).slice(0, 256);
  return {
    '1x16': [ofTokens(words, 1, 16)],
    '1x128': [ofTokens(words, 1, 128)],
    '32x32': [ofTokens(words, 32, 32)],
    '32x128': [ofTokens(words, 32, 128)],
    sentence: sentences.slice(0, 16).map((text) => ({ texts: [text] })),
    '256 sentences': Array.from({ length: 8 }, (_, batch) => ({ texts: sentences.slice(batch * 32, batch * 32 + 32) })),
    '143 tokens': [ofTokens(words, 1, 143)],
  };
}

/** The whole words of the vocabulary, so that ids are known without a tokenizer: a word's id is its line. */
export function wholeWords(minilm) {
  const vocabulary = readFileSync(path.join(minilm, 'vocab.txt'), 'utf8').split('\n');
  return vocabulary.map((word, id) => ({ word, id })).filter(({ word }) => /^[a-z]{4,8}$/.test(word));
}

/** `batch` texts of `tokens` tokens each, and their ids. */
export function ofTokens(words, batch, tokens) {
  const rows = Array.from({ length: batch }, (_, row) =>
    Array.from({ length: tokens - 2 }, (_, i) => words[(row * 977 + i * 131) % words.length]),
  );
  const [cls, sep] = [101, 102];
  return {
    ids: rows.map((row) => [cls, ...row.map(({ id }) => id), sep]),
    texts: rows.map((row) => row.map(({ word }) => word).join(' ')),
  };
}

/** The different sentences of `sentence1,sentence2,score` lines, quoted as in RFC 4180. */
export function readSentences(sts) {
  const fields = (line) =>
    [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)]
      .slice(0, 2)
      .map(([, field]) => field.replace(/^"|"$/g, '').replaceAll('""', '"'));
  return [...new Set(readFileSync(sts, 'utf8').trim().split(/\r?\n/).flatMap(fields))];
}
