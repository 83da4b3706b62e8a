// Decoders that are broken in one way each, and models of other kinds: the error's code, and that its message names the culprit.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Decoder, ImageTextEmbedder, models, TextEmbedder } from 'pilotlight';
import { filesOf, tinyFolder } from './support/models.mjs';
import { parse, withHeader, write } from './support/safetensors.mjs';

const WEIGHTS = 'model.safetensors';
const QWEN2 = filesOf(tinyFolder('qwen2-tiny'));
const LLAMA = filesOf(tinyFolder('llama-tiny'));
const QWEN3 = filesOf(tinyFolder('qwen3-tiny'));

const bytesOf = (value) => new TextEncoder().encode(JSON.stringify(value));
const edited = (files, name, edit) => {
  const value = JSON.parse(new TextDecoder().decode(files[name]));
  return { ...files, [name]: bytesOf(edit(value) ?? value) };
};
const config = (change, files = QWEN2) => edited(files, 'config.json', (value) => ({ ...value, ...change }));
const header = (edit, files = QWEN2, name = WEIGHTS) => ({ ...files, [name]: withHeader(files[name], edit) });
const without = (tensor, files, name) => header((all) => renamed(all, tensor), files, name);
const missing = (name, files = QWEN2) => Object.fromEntries(Object.entries(files).filter(([key]) => key !== name));

/** No byte of a file may be left over, so the tensor gets another name. */
function renamed(all, tensor) {
  assert.ok(all[tensor], tensor);
  all[`${tensor}s`] = all[tensor];
  delete all[tensor];
}

/** Returns the files with the bits of a number in place of a tensor's first value. */
function poisoned(tensor, bits) {
  const { header, data } = parse(QWEN2[WEIGHTS]);
  assert.equal(header[tensor].dtype, 'BF16');
  const changed = data.slice();
  new DataView(changed.buffer).setUint16(header[tensor].data_offsets[0], bits, true);
  return { ...QWEN2, [WEIGHTS]: write({ header, data: changed }) };
}

const load = (files, more) => Decoder.load('test/own', { files, device: 'cpu', dtype: 'f32', store: false, ...more });

const Q_BIAS = 'model.layers.1.self_attn.q_proj.bias';

/** Rows of [the fault, the files, the error's code, a pattern of the message]. */
const CASES = [
  ['config.json is missing', missing('config.json'), 'FETCH_FAILED', /^config\.json/],
  ['tokenizer.json is missing', missing('tokenizer.json'), 'FETCH_FAILED', /^tokenizer\.json/],
  ['the weights are missing', missing(WEIGHTS), 'FETCH_FAILED', /^model\.safetensors/],
  [
    'the model is a BERT',
    filesOf(tinyFolder('bert-tiny-mean')),
    'UNSUPPORTED_MODEL',
    /^config\.json: model_type is 'bert'/,
  ],
  ['the model is a CLIP', filesOf(tinyFolder('clip-tiny')), 'UNSUPPORTED_MODEL', /^config\.json: model_type is 'clip'/],
  [
    'the family is another',
    config({ model_type: 'mistral' }),
    'UNSUPPORTED_MODEL',
    /model_type is 'mistral', expected/,
  ],
  [
    'attention has a sliding window',
    config({ use_sliding_window: true }),
    'UNSUPPORTED_MODEL',
    /^config\.json: use_sliding_window is true, expected false$/,
  ],
  [
    'positions are scaled, as before transformers 5',
    config({ rope_scaling: { type: 'yarn', factor: 4 } }),
    'UNSUPPORTED_MODEL',
    /^config\.json: rope_type is 'yarn', expected 'default'$/,
  ],
  [
    'positions are scaled, as since transformers 5',
    config({ rope_parameters: { rope_type: 'llama3', rope_theta: 500000, factor: 8 } }, LLAMA),
    'UNSUPPORTED_MODEL',
    /^config\.json: rope_type is 'llama3', expected 'default'$/,
  ],
  [
    'the activation is another',
    config({ hidden_act: 'gelu' }),
    'UNSUPPORTED_MODEL',
    /hidden_act is 'gelu', expected 'silu'/,
  ],
  ['attention has biases', config({ attention_bias: true }, LLAMA), 'UNSUPPORTED_MODEL', /attention_bias is true/],
  ['the feed-forward layers have biases', config({ mlp_bias: true }, LLAMA), 'UNSUPPORTED_MODEL', /mlp_bias is true/],
  [
    'the heads do not share keys evenly',
    config({ num_key_value_heads: 4 }),
    'INVALID_WEIGHTS',
    /num_attention_heads 6 is not a multiple of num_key_value_heads 4/,
  ],
  [
    'a head has an odd width',
    config({ head_dim: 7 }),
    'INVALID_WEIGHTS',
    /^config\.json: head_dim is 7, expected an even/,
  ],
  ['the base of positions is zero', config({ rope_theta: 0 }), 'INVALID_WEIGHTS', /^config\.json: rope_theta is 0/],
  ['the epsilon is negative', config({ rms_norm_eps: -1 }), 'INVALID_WEIGHTS', /^config\.json: rms_norm_eps/],
  ['the epsilon is missing', config({ rms_norm_eps: undefined }), 'INVALID_WEIGHTS', /^config\.json: .*rms_norm_eps/],
  ['there are no positions', config({ max_position_embeddings: 0 }), 'INVALID_WEIGHTS', /max_position_embeddings is 0/],
  ['2^60 layers are promised', config({ num_hidden_layers: 2 ** 60 }), 'INVALID_WEIGHTS', /^config\.json/],
  ['one more layer is promised', config({ num_hidden_layers: 4 }), 'INVALID_WEIGHTS', /'layers\.3\..*' is missing/],
  [
    'the vocabulary is smaller than its table',
    config({ vocab_size: 299 }),
    'INVALID_WEIGHTS',
    /embed_tokens\.weight.*\[307, 48\]/,
  ],
  ['the width is another', config({ hidden_size: 96 }), 'INVALID_WEIGHTS', /embed_tokens\.weight.*\[307, 96\]/],
  [
    'a bias of the queries is missing',
    without(Q_BIAS),
    'INVALID_WEIGHTS',
    /^model\.safetensors: .*layers\.1\.self_attn\.q_proj\.bias/,
  ],
  [
    'the last norm is missing',
    without('model.norm.weight'),
    'INVALID_WEIGHTS',
    /^model\.safetensors: .*'norm\.weight' is missing/,
  ],
  [
    'the head is missing',
    without('lm_head.weight', LLAMA),
    'INVALID_WEIGHTS',
    /^model\.safetensors: .*'lm_head\.weight' is missing/,
  ],
  [
    'the head is not tied, and missing',
    config({ tie_word_embeddings: false }),
    'INVALID_WEIGHTS',
    /^model\.safetensors: .*'lm_head\.weight' is missing/,
  ],
  [
    'a tensor that a shard should have is missing',
    without('model.layers.0.self_attn.q_norm.weight', QWEN3, 'model-00001-of-00002.safetensors'),
    'INVALID_WEIGHTS',
    /model-00001-of-00002\.safetensors|q_norm\.weight/,
  ],
  [
    'a tensor has another shape',
    header((all) => Object.assign(all['model.layers.0.mlp.up_proj.weight'], { shape: [48, 100] })),
    'INVALID_WEIGHTS',
    /up_proj\.weight' has shape \[48, 100\], expected \[100, 48\]/,
  ],
  [
    'a tensor has whole numbers',
    header((all) => Object.assign(all['model.layers.0.mlp.up_proj.weight'], { dtype: 'I16' })),
    'INVALID_WEIGHTS',
    /up_proj\.weight.*I16/,
  ],
  [
    'a weight is not a number',
    poisoned('model.layers.2.mlp.down_proj.weight', 0x7fc0),
    'INVALID_WEIGHTS',
    /layers\.2\.mlp\.down_proj\.weight/,
  ],
  ['a weight of a norm is infinite', poisoned('model.norm.weight', 0x7f80), 'INVALID_WEIGHTS', /norm\.weight/],
  [
    'the weights end inside a tensor',
    { ...QWEN2, [WEIGHTS]: QWEN2[WEIGHTS].subarray(0, -100) },
    'INVALID_WEIGHTS',
    /^model\.safetensors: /,
  ],
  [
    'tokenizer.json is none',
    { ...QWEN2, 'tokenizer.json': bytesOf({}) },
    'INVALID_WEIGHTS',
    /^tokenizer\.json: is not valid/,
  ],
];

for (const [what, files, code, message] of CASES) {
  test(`${what}: ${code}`, async () => {
    for (const dtype of ['f32', 'f16', 'q8', 'q4'])
      await assert.rejects(load(files, { dtype }), { name: 'PilotlightError', code, message }, dtype);
  });
}

describe('a tokenizer that does not belong to the weights', () => {
  /** A model of the first 100 rows, so that most of the tokenizer's ids are none of its. */
  function withFewerWords() {
    const { header, data } = parse(QWEN2[WEIGHTS]);
    const name = 'model.embed_tokens.weight';
    const [from, to] = header[name].data_offsets;
    const gone = ((to - from) / 307) * 207;
    const shrunk = Object.fromEntries(
      Object.entries(header).map(([key, entry]) => {
        if (key === '__metadata__') return [key, entry];
        if (key === name) return [key, { ...entry, shape: [100, 48], data_offsets: [from, to - gone] }];
        const moved = entry.data_offsets[0] >= to ? gone : 0;
        return [key, { ...entry, data_offsets: entry.data_offsets.map((offset) => offset - moved) }];
      }),
    );
    const kept = Buffer.concat([data.subarray(0, to - gone), data.subarray(to)]);
    return { ...config({ vocab_size: 100 }), [WEIGHTS]: write({ header: shrunk, data: kept }) };
  }

  test('is told by the id that the model does not have, and other texts are none the worse', async () => {
    const decoder = await load(withFewerWords());
    const refused = { name: 'PilotlightError', code: 'INVALID_WEIGHTS', message: /\b\d{3}\b.*\b100\b/ };
    await assert.rejects(decoder.hiddenStates('The pilot light is on.'), refused);
    // The separator's id is 298.
    await assert.rejects(decoder.likelihoods('a'), refused);
    assert.deepEqual((await decoder.hiddenStates('a')).dims, [1, 48]);
    decoder.dispose();
  });

  test('may have no token that begins a text, which only likelihoods need', async () => {
    const files = edited(QWEN2, 'tokenizer.json', (json) => {
      json.added_tokens = json.added_tokens.filter(({ content }) => content !== '<|endoftext|>');
      delete json.model.vocab['<|endoftext|>'];
    });
    const decoder = await load(edited(files, 'config.json', (json) => ({ ...json, bos_token_id: null })));
    await assert.rejects(decoder.likelihoods('a'), {
      name: 'PilotlightError',
      code: 'UNSUPPORTED_MODEL',
      message: /^tokenizer\.json: has no token '<\|endoftext\|>', and config\.json no bos_token_id/,
    });
    assert.deepEqual((await decoder.hiddenStates('a')).dims, [1, 48]);
    decoder.dispose();
    // The id of the config is used instead.
    const other = await load(files);
    assert.equal((await other.likelihoods('a'))[0].ranks.length, 1);
    other.dispose();
  });
});

describe('a decoder', () => {
  const files = QWEN2;
  const refused = (message) => ({ name: 'PilotlightError', code: 'UNSUPPORTED_MODEL', message });

  test('is refused by the classes of other models, which name the right one or what they expect', async () => {
    await assert.rejects(
      TextEmbedder.load('test/own', { files, store: false }),
      refused(/^modules\.json: is missing, and a decoder without it is no sentence encoder: load it by Decoder$/),
    );
    await assert.rejects(
      ImageTextEmbedder.load('test/own', { files, store: false }),
      refused(/^config\.json: model_type is 'qwen2', expected 'clip' or 'siglip'$/),
    );
  });

  for (const [layers, says] of [
    [0, /^layers is 0, expected 1 to 3$/],
    [4, /^layers is 4, expected 1 to 3$/],
    [-1, /^layers is -1, expected a whole number from 1$/],
    [1.5, /^layers is 1.5/],
    ['2', /^layers is string/],
  ]) {
    test(`is refused where layers is ${JSON.stringify(layers)}`, async () => {
      const invalid = { name: 'PilotlightError', code: 'INVALID_INPUT', message: says };
      await assert.rejects(load(files, { layers }), invalid);
      await assert.rejects(models.plan('test/own', { files, layers }), invalid);
    });
  }
});
