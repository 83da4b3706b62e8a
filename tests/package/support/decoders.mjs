// Decoders: what PyTorch answers for those of tests/goldens, and how the package's answers are compared with it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Decoder } from 'pilotlight';
import { filesOf, golden, tinyFolder } from './models.mjs';
import { parse } from './safetensors.mjs';
import { randomWeights } from './seeded-bert.mjs';

const ARRAYS = { F32: Float32Array, I32: Int32Array };

/** Loads a tiny decoder of tests/goldens from the bytes of its files. */
export const loadTiny = (name, options) =>
  Decoder.load('test/own', { files: filesOf(tinyFolder(name)), device: 'cpu', dtype: 'f32', store: false, ...options });

/** The fields of likelihoods that are floats, and the names of their tensors in `expected.safetensors`. */
export const FIELDS = {
  logProbabilities: 'log_probabilities',
  entropies: 'entropies',
  variances: 'variances',
};

/** Returns PyTorch's results: `expected.json`, and `values(name)` of `expected.safetensors` with their shape. */
export function decoderGolden(name) {
  const { header, data } = parse(new Uint8Array(readFileSync(path.join(tinyFolder(name), 'expected.safetensors'))));
  const tensor = (key) => {
    const { dtype, shape, data_offsets: offsets } = header[key];
    return { shape, data: new ARRAYS[dtype](data.slice(...offsets).buffer) };
  };
  return { ...golden(name), tensor, values: (key) => tensor(key).data };
}

/** The largest difference, as a part of the largest expected magnitude where that is above one; NaN where a value is no number. */
export function difference(got, expected) {
  assert.equal(got.length, expected.length);
  let [worst, scale] = [0, 1];
  expected.forEach((value, i) => {
    // Math.max returns NaN if one value is NaN.
    worst = Math.max(worst, Math.abs(got[i] - value));
    scale = Math.max(scale, Math.abs(value));
  });
  return worst / scale;
}

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** The mean over the rows of `[t, d]`. */
export function meanRow(values, width) {
  const sums = new Float64Array(width);
  for (const [i, value] of values.entries()) sums[i % width] += value;
  return sums.map((sum) => (sum * width) / values.length);
}

/** The values of text `i` at a layer, of hidden states without pooling: `[tokens, d]`. */
export function statesOf({ data, dims: [, width], tokens }, i) {
  const before = tokens.slice(0, i).reduce((sum, count) => sum + count, 0);
  return data.subarray(before * width, (before + tokens[i]) * width);
}

/**
 * The files of a Qwen2 with the tokenizer of `qwen2-tiny`, or a Llama with that of `llama-tiny`, whose weights a generator makes. Each of its
 * layers has 1.3 MB: so much that one that is not needed is not fetched.
 */
export function seededDecoder(family, { layers }) {
  const files = filesOf(tinyFolder(`${family}-tiny`));
  const config = {
    ...JSON.parse(new TextDecoder().decode(files['config.json'])),
    hidden_size: 192,
    intermediate_size: 384,
    num_hidden_layers: layers,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    head_dim: 32,
  };
  return {
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'tokenizer.json': files['tokenizer.json'],
    'model.safetensors': randomWeights(shapesOf(config)),
  };
}

function shapesOf({ hidden_size: d, intermediate_size: inner, vocab_size: v, ...config }) {
  const [queries, keys] = [config.num_attention_heads, config.num_key_value_heads].map((n) => n * config.head_dim);
  const layer = (_, i) => {
    const at = `model.layers.${i}`;
    const bias = (name, n) => (config.model_type === 'qwen2' ? [[`${at}.self_attn.${name}.bias`, [n]]] : []);
    return [
      [`${at}.input_layernorm.weight`, [d]],
      ...[
        ['q_proj', queries],
        ['k_proj', keys],
        ['v_proj', keys],
      ].flatMap(([name, n]) => [[`${at}.self_attn.${name}.weight`, [n, d]], ...bias(name, n)]),
      [`${at}.self_attn.o_proj.weight`, [d, queries]],
      [`${at}.post_attention_layernorm.weight`, [d]],
      [`${at}.mlp.gate_proj.weight`, [inner, d]],
      [`${at}.mlp.up_proj.weight`, [inner, d]],
      [`${at}.mlp.down_proj.weight`, [d, inner]],
    ];
  };
  return [
    ['model.embed_tokens.weight', [v, d]],
    ...Array.from({ length: config.num_hidden_layers }, layer).flat(),
    ['model.norm.weight', [d]],
    ...(config.tie_word_embeddings ? [] : [['lm_head.weight', [v, d]]]),
  ];
}
