// A repository that is broken in one way each: the error's code, that its message names the culprit, nothing kept, and that the next load works.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PilotlightError, TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { mapStore } from './support/map-store.mjs';
import { filesOf, tinyFolder } from './support/models.mjs';
import { parse, withHeader, write } from './support/safetensors.mjs';
import { keysOf } from './support/store-keys.mjs';

const GOOD = filesOf(tinyFolder('bert-tiny-mean'));
const WEIGHTS = 'model.safetensors';
const WORDS = 'embeddings.word_embeddings.weight';
const QUERY = 'encoder.layer.0.attention.self.query.weight';

const json = (value) => new TextEncoder().encode(JSON.stringify(value));
const readJson = (name) => JSON.parse(new TextDecoder().decode(GOOD[name]));

/** The good repository with other files; `undefined` takes one away. */
const with_ = (changes) =>
  Object.fromEntries(Object.entries({ ...GOOD, ...changes }).filter(([, bytes]) => bytes !== undefined));
const edited = (name, change) => with_({ [name]: json({ ...readJson(name), ...change }) });
const config = (change) => edited('config.json', change);
const weights = (bytes) => with_({ [WEIGHTS]: bytes });
const header = (edit) => weights(withHeader(GOOD[WEIGHTS], edit));
const tensor = (name, change) => header((all) => Object.assign(all[name], change));

const HTML = new TextEncoder().encode('<!doctype html><html><body>Sign in to the network</body></html>');
const GARBAGE = new Uint8Array(4096).map((_, i) => (i * 197) ^ 0xa5);
const { header: HEADER, data: DATA } = parse(GOOD[WEIGHTS]);
const rows = HEADER[WORDS].shape[0];

/** A step of a tokenizer that splits where the expression matches. */
const splitBy = (expression) => ({
  type: 'Split',
  pattern: { Regex: expression },
  behavior: 'Isolated',
  invert: false,
});

/** Rows of [the fault, the files, the error's code, a pattern of the message]. */
const CASES = [
  ['config.json is missing', with_({ 'config.json': undefined }), 'FETCH_FAILED', /config\.json/],
  ['tokenizer.json is missing', with_({ 'tokenizer.json': undefined }), 'FETCH_FAILED', /tokenizer\.json/],
  ['the weights are missing', with_({ [WEIGHTS]: undefined }), 'FETCH_FAILED', /model\.safetensors/],
  ['there is nothing at all', {}, 'FETCH_FAILED', /config\.json/],
  [
    'the pooling config that modules.json names is missing',
    with_({ '1_Pooling/config.json': undefined }),
    'FETCH_FAILED',
    /1_Pooling\/config\.json/,
  ],

  ['config.json is empty', with_({ 'config.json': new Uint8Array() }), 'INVALID_WEIGHTS', /config\.json/],
  [
    'config.json is cut off',
    with_({ 'config.json': GOOD['config.json'].subarray(0, 40) }),
    'INVALID_WEIGHTS',
    /config\.json/,
  ],
  ['config.json is a list', with_({ 'config.json': json([1, 2]) }), 'INVALID_WEIGHTS', /config\.json/],
  ['config.json is not UTF-8', with_({ 'config.json': GARBAGE }), 'INVALID_WEIGHTS', /config\.json/],
  [
    'tokenizer.json is cut off',
    with_({ 'tokenizer.json': GOOD['tokenizer.json'].subarray(0, 900) }),
    'INVALID_WEIGHTS',
    /tokenizer\.json/,
  ],
  [
    'tokenizer.json splits by a property of characters that the package has no table of',
    edited('tokenizer.json', { pre_tokenizer: splitBy('\\p{Emoji}+') }),
    'INVALID_WEIGHTS',
    /tokenizer\.json.*regex/,
  ],
  ['tokenizer.json is an empty object', with_({ 'tokenizer.json': json({}) }), 'INVALID_WEIGHTS', /tokenizer\.json/],
  ['modules.json is broken', with_({ 'modules.json': json({ no: 'list' }) }), 'INVALID_WEIGHTS', /modules\.json/],
  [
    'the pooling config is broken',
    with_({ '1_Pooling/config.json': json('mean') }),
    'INVALID_WEIGHTS',
    /1_Pooling\/config\.json/,
  ],
  [
    'the maximum length is negative',
    with_({ 'sentence_bert_config.json': json({ max_seq_length: -1 }) }),
    'INVALID_WEIGHTS',
    /sentence_bert_config\.json/,
  ],
  [
    'the maximum length is text',
    with_({ 'sentence_bert_config.json': json({ max_seq_length: 'long' }) }),
    'INVALID_WEIGHTS',
    /sentence_bert_config\.json/,
  ],

  ['config.json is a web page', with_({ 'config.json': HTML }), 'FETCH_FAILED', /config\.json.*HTML/],
  ['tokenizer.json is a web page', with_({ 'tokenizer.json': HTML }), 'FETCH_FAILED', /tokenizer\.json.*HTML/],
  ['the weights are a web page', weights(HTML), 'FETCH_FAILED', /model\.safetensors.*HTML/],

  [
    'the architecture is unknown',
    config({ model_type: 'mamba', architectures: ['MambaModel'] }),
    'UNSUPPORTED_MODEL',
    /config\.json.*mamba/i,
  ],
  ['the activation is unknown', config({ hidden_act: 'swoosh' }), 'UNSUPPORTED_MODEL', /config\.json.*swoosh/],
  [
    'positions are relative',
    config({ position_embedding_type: 'relative_key' }),
    'UNSUPPORTED_MODEL',
    /config\.json.*relative_key/,
  ],
  // As in Python, a value that is missing is that of the family's first model.
  [
    'hidden_size is missing',
    config({ hidden_size: undefined }),
    'INVALID_WEIGHTS',
    /word_embeddings.*expected \[195, 768\]/,
  ],
  ['hidden_size is zero', config({ hidden_size: 0 }), 'INVALID_WEIGHTS', /config\.json.*hidden_size/],
  [
    'hidden_size is not a multiple of the heads',
    config({ num_attention_heads: 5 }),
    'INVALID_WEIGHTS',
    /config\.json.*5/,
  ],
  ['there are no heads', config({ num_attention_heads: 0 }), 'INVALID_WEIGHTS', /config\.json.*num_attention_heads/],
  [
    'hidden_size does not fit the weights',
    config({ hidden_size: 64 }),
    'INVALID_WEIGHTS',
    /model\.safetensors.*weight/,
  ],
  [
    'a million layers are promised',
    config({ num_hidden_layers: 1_000_000 }),
    'INVALID_WEIGHTS',
    /config\.json|encoder\.layer\.2\./,
  ],
  [
    '2^60 layers are promised',
    config({ num_hidden_layers: 2 ** 60 }),
    'INVALID_WEIGHTS',
    /config\.json|encoder\.layer\.2\./,
  ],
  ['layer_norm_eps is text', config({ layer_norm_eps: 'small' }), 'INVALID_WEIGHTS', /config\.json/],

  ['the weights are empty', weights(new Uint8Array()), 'INVALID_WEIGHTS', /model\.safetensors/],
  [
    'the weights end inside the header',
    weights(GOOD[WEIGHTS].subarray(0, 300)),
    'INVALID_WEIGHTS',
    /model\.safetensors/,
  ],
  [
    'the weights end inside a tensor',
    weights(GOOD[WEIGHTS].subarray(0, GOOD[WEIGHTS].length - 100)),
    'INVALID_WEIGHTS',
    /model\.safetensors/,
  ],
  [
    'bytes follow the last tensor',
    weights(write({ header: HEADER, data: new Uint8Array([...DATA, 1, 2, 3]) })),
    'INVALID_WEIGHTS',
    /model\.safetensors/,
  ],
  ['the weights are noise', weights(GARBAGE), 'INVALID_WEIGHTS', /model\.safetensors/],
  [
    'the header claims 2^63 bytes',
    weights(write({ header: HEADER, data: DATA, length: 2n ** 63n })),
    'INVALID_WEIGHTS',
    /model\.safetensors.*header/,
  ],
  [
    'the header claims 8 MB',
    weights(write({ header: HEADER, data: DATA, length: 8 << 20 })),
    'INVALID_WEIGHTS',
    /model\.safetensors.*header/,
  ],
  [
    'the header is not JSON',
    weights(write({ header: '{"a":', data: DATA })),
    'INVALID_WEIGHTS',
    /model\.safetensors.*header/,
  ],
  [
    'the header is nested ten thousand deep',
    weights(write({ header: '['.repeat(10_000), data: DATA })),
    'INVALID_WEIGHTS',
    /model\.safetensors.*header/,
  ],
  [
    'offsets reach past the end',
    tensor(QUERY, { data_offsets: [DATA.length, DATA.length + 4096] }),
    'INVALID_WEIGHTS',
    /model\.safetensors.*query\.weight|model\.safetensors.*tensor '/,
  ],
  [
    'offsets go backwards',
    tensor(QUERY, { data_offsets: [4096, 0] }),
    'INVALID_WEIGHTS',
    /model\.safetensors.*query\.weight/,
  ],
  [
    'an offset is negative',
    tensor(QUERY, { data_offsets: [-4096, 0] }),
    'INVALID_WEIGHTS',
    /model\.safetensors.*query\.weight/,
  ],
  ['two tensors overlap', header(overlap), 'INVALID_WEIGHTS', /model\.safetensors.*tensor '.*overlap/],
  [
    'shape times dtype is not the length',
    tensor(QUERY, { shape: [32, 31] }),
    'INVALID_WEIGHTS',
    /model\.safetensors.*query\.weight/,
  ],
  ['a dim is 2^63', header(hugeDim), 'INVALID_WEIGHTS', /model\.safetensors.*query\.weight|model\.safetensors.*header/],
  [
    'dims overflow when they are multiplied',
    tensor(QUERY, { shape: [2 ** 31, 2 ** 31, 4] }),
    'INVALID_WEIGHTS',
    /model\.safetensors.*query\.weight/,
  ],
  ['the dtype is unknown', tensor(QUERY, { dtype: 'Q7' }), 'INVALID_WEIGHTS', /model\.safetensors.*query\.weight.*Q7/],
  [
    'a layer has a whole-number dtype',
    tensor(QUERY, { dtype: 'I32' }),
    'INVALID_WEIGHTS',
    /model\.safetensors.*query\.weight.*I32/,
  ],
  [
    'a layer has another shape',
    tensor(QUERY, { shape: [16, 64] }),
    'INVALID_WEIGHTS',
    /model\.safetensors.*query\.weight/,
  ],
  ['a layer is missing', header(renameQuery), 'INVALID_WEIGHTS', /model\.safetensors.*query\.weight/],
  ['a weight is NaN', poisoned(NaN), 'INVALID_WEIGHTS', /model\.safetensors.*query\.weight/],
  ['a weight is infinite', poisoned(Infinity), 'INVALID_WEIGHTS', /model\.safetensors.*query\.weight/],
];

/** Word embeddings of fewer rows, in the file and in config.json, beside the whole tokenizer. */
function withFewerWords(count) {
  const shrunk = {};
  const parts = [];
  let end = 0;
  for (const [name, entry] of Object.entries(HEADER)) {
    if (name === '__metadata__') continue;
    const [from, to] = entry.data_offsets;
    const isWords = name === WORDS;
    const bytes = DATA.subarray(from, isWords ? from + ((to - from) / rows) * count : to);
    shrunk[name] = {
      ...entry,
      shape: isWords ? [count, entry.shape[1]] : entry.shape,
      data_offsets: [end, end + bytes.length],
    };
    end += bytes.length;
    parts.push(bytes);
  }
  const data = new Uint8Array(parts.flatMap((part) => [...part]));
  return { ...config({ vocab_size: count }), [WEIGHTS]: write({ header: shrunk, data }) };
}

function overlap(all) {
  const [first, second] = Object.values(all)
    .filter(({ data_offsets }) => data_offsets)
    .sort((a, b) => a.data_offsets[0] - b.data_offsets[0]);
  const length = second.data_offsets[1] - second.data_offsets[0];
  const start = first.data_offsets[1] - 4;
  second.data_offsets = [start, start + length];
}

function hugeDim(all) {
  // Written as a number that JSON.stringify keeps whole.
  all[QUERY].shape = [2 ** 63];
}

function renameQuery(all) {
  all[`${QUERY}.old`] = all[QUERY];
  delete all[QUERY];
}

function poisoned(value) {
  const data = DATA.slice();
  new DataView(data.buffer).setFloat32(HEADER[QUERY].data_offsets[0] + 40, value, true);
  return weights(write({ header: HEADER, data }));
}

/** Fails with the error that the table wants, leaves nothing that could be read, and does not hinder the next load. */
async function assertRefused(model, options, code, says, good) {
  const store = options.store ?? mapStore();
  const error = await TextEmbedder.load(model, { ...options, store }).then(
    (embedder) => assert.fail(`it loaded, with ${embedder.dimensions} dimensions`),
    (thrown) => thrown,
  );
  assert.ok(error instanceof PilotlightError, String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, says);
  const kept = [...store.rows.keys()];
  assert.deepEqual(keysOf(store, 'manifest'), []);
  // Only a partial download that can be resumed is kept.
  if (code !== 'FETCH_FAILED') assert.deepEqual(kept, []);
  const next = await TextEmbedder.load('test/good', { store, ...good });
  assert.deepEqual((await next.embed('x')).dims, [1, 32]);
  next.dispose();
}

describe('from a host', () => {
  let hub;
  before(async () => {
    const broken = Object.fromEntries(CASES.map(([, files], i) => [`test/case-${i}`, files]));
    hub = await startHub({ models: { 'test/good': GOOD, 'test/faulty': GOOD, ...broken }, port: 0 });
  });
  after(() => hub.close());

  for (const [i, [what, , code, says]] of CASES.entries()) {
    test(what, () => assertRefused(`test/case-${i}`, { host: hub.url }, code, says, { host: hub.url }));
  }

  for (const [what, fault, code, says] of [
    ['the host answers 500', { fault: 'status', value: 500 }, 'FETCH_FAILED', /500/],
    ['the host answers 403', { fault: 'status', value: 403 }, 'FETCH_FAILED', /403/],
    ['every answer is a web page', { fault: 'html' }, 'FETCH_FAILED', /config\.json.*HTML/],
    [
      'the weights answer 503',
      { file: WEIGHTS, fault: 'status', value: 503 },
      'FETCH_FAILED',
      /model\.safetensors.*503/,
    ],
    [
      'the connection breaks in the weights',
      { file: WEIGHTS, fault: 'reset', value: 20_000 },
      'FETCH_FAILED',
      /model\.safetensors/,
    ],
    [
      'the weights are shorter than promised',
      { file: WEIGHTS, fault: 'truncate', value: 20_000 },
      'FETCH_FAILED',
      /model\.safetensors/,
    ],
    [
      'one bit of the weights is flipped',
      { file: WEIGHTS, fault: 'flip', value: 30_001 },
      'INTEGRITY',
      /model\.safetensors.*sha256/,
    ],
    [
      'one bit of the tokenizer is flipped',
      { file: 'tokenizer.json', fault: 'flip', value: 300 },
      'INTEGRITY',
      /tokenizer\.json.*git blob id/,
    ],
    ['the connection is refused at the first request', { fault: 'reset' }, 'FETCH_FAILED', /reached/],
  ]) {
    test(what, async () => {
      hub.setFaults([{ ...fault, model: 'test/faulty' }]);
      await assertRefused('test/faulty', { host: hub.url, timeout: 500 }, code, says, { host: hub.url }).finally(() =>
        hub.setFaults([]),
      );
    });
  }

  test('the repository does not exist', () =>
    assertRefused('test/nothing', { host: hub.url }, 'FETCH_FAILED', /401/, { host: hub.url }));

  test('the revision does not exist', () =>
    assertRefused('test/good', { host: hub.url, revision: 'v9' }, 'FETCH_FAILED', /has no revision 'v9'/, {
      host: hub.url,
    }));

  test('nobody listens at the host', () =>
    assertRefused('test/good', { host: 'http://127.0.0.1:9' }, 'FETCH_FAILED', /127\.0\.0\.1:9/, { host: hub.url }));

  test('the store is full', async () => {
    const store = mapStore();
    let room = 1;
    const full = {
      ...store,
      async put(key, bytes) {
        if (room-- <= 0) throw new DOMException('no room', 'QuotaExceededError');
        await store.put(key, bytes);
      },
    };
    await assertRefused('test/good', { host: hub.url, store: full }, 'QUOTA_EXCEEDED', /store is full/, {
      host: hub.url,
      store: false,
    });
  });
});

describe("from the caller's own bytes", () => {
  for (const [what, files, code, says] of CASES) {
    test(what, () => assertRefused('test/case', { files }, code, says, { files: GOOD }));
  }

  test('a stream that was read before', async () => {
    const stream = new Blob([GOOD[WEIGHTS]]).stream();
    await stream.getReader().read();
    await assertRefused('test/case', { files: with_({ [WEIGHTS]: stream }) }, 'INVALID_INPUT', /model\.safetensors/, {
      files: GOOD,
    });
  });

  test('a stream that fails half way', async () => {
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(GOOD[WEIGHTS].subarray(0, 5000));
      },
      pull(controller) {
        controller.error(new Error('the disk is gone'));
      },
    });
    await assertRefused(
      'test/case',
      { files: with_({ [WEIGHTS]: stream }) },
      'FETCH_FAILED',
      /model\.safetensors.*disk is gone/,
      { files: GOOD },
    );
  });

  test('a response with an error status', () => {
    const response = new Response('gone', { status: 410 });
    return assertRefused(
      'test/case',
      { files: with_({ [WEIGHTS]: response }) },
      'FETCH_FAILED',
      /model\.safetensors.*410/,
      { files: GOOD },
    );
  });
});

test('a token that the model has no row for is refused by name, and other texts go on', async () => {
  const embedder = await TextEmbedder.load('test/case', { files: withFewerWords(rows - 50) });
  const { data } = await embedder.embed('a');
  await assert.rejects(embedder.embed('lighthouse'), {
    name: 'PilotlightError',
    code: 'INVALID_WEIGHTS',
    message: /tokenizer\.json.*embeddings/,
  });
  assert.deepEqual((await embedder.embed('a')).data, data);
  embedder.dispose();
});

test('a tokenizer may split by categories, scripts, classes of characters and without regard to case', async () => {
  const expression =
    "(?i:'s|'LL)|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{M}]+|\\p{Han}+|\\p{Script=Greek}+|\\d{1,3}|\\w+|\\s+(?!\\S)|\\s+|.";
  const files = edited('tokenizer.json', { pre_tokenizer: splitBy(expression) });
  const embedder = await TextEmbedder.load('test/case', { files });
  const { tokens } = await embedder.embed('a dog');
  assert.ok(tokens[0] > 2);
  embedder.dispose();
});
