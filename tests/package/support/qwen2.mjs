// Qwen2.5-0.5B in its true shapes with weights that a generator makes, and the tokenizer that is built of its vocabulary and merges.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { DATA } from '../../data.mjs';
import { ROOT } from './models.mjs';

/** `cargo run --release -p pilotlight-tools --bin seed-qwen2 -- target/models/qwen2-0.5b` makes it. */
export const QWEN2 = path.join(ROOT, 'target/models/qwen2-0.5b');

/** The files of PILOTLIGHT_DATA that the tokenizer is made of. */
export const TOKENIZER_FILES = ['vocab.json', 'merges.txt', 'tokenizer_config.json'].map((name) => `qwen2/${name}`);

const SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/** `tokenizer.json`, as `qwen2_blueprint` in tests/goldens/decoder/token_ids.py builds it. */
export function tokenizerJson() {
  const [vocab, merges, config] = TOKENIZER_FILES.map((file) => readFileSync(path.join(DATA, file), 'utf8'));
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
  const split = { type: 'Split', pattern: { Regex: SPLIT }, behavior: 'Isolated', invert: false };
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: Object.entries(JSON.parse(config).added_tokens_decoder).map(([id, token]) => ({
      id: Number(id),
      ...token,
    })),
    normalizer: { type: 'NFC' },
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split, bytes] },
    post_processor: bytes,
    decoder: bytes,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: JSON.parse(vocab),
      merges: merges.split(/\r?\n/).filter((line) => line && !line.startsWith('#version')),
    },
  });
}
