import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from './models.mjs';
import { parse, write } from './safetensors.mjs';

const GOLDENS = path.join(ROOT, 'tests/goldens');

/** ViT-B/32 with weights of a generator, in f16: `cargo run --example seed_clip -- target/models/clip-vit-b32` makes it. */
export const VIT_B32 = path.join(ROOT, 'target/models/clip-vit-b32');

/** A tensor file's rows by tensor, as they stand there. */
export function tensorsOf(file) {
  const { header, data } = parse(new Uint8Array(readFileSync(file)));
  const rows = ([
    name,
    {
      shape,
      data_offsets: [from, to],
    },
  ]) => {
    const values = new Float32Array(data.slice(from, to).buffer);
    const width = shape.at(-1);
    return [name, Array.from({ length: values.length / width }, (_, i) => values.subarray(i * width, (i + 1) * width))];
  };
  return Object.fromEntries(
    Object.entries(header)
      .filter(([name]) => name !== '__metadata__')
      .map(rows),
  );
}

/** Returns the results of transformers for a model of tests/goldens: `{ texts, pictures, tensors }`. */
export function clipGolden(name) {
  const folder = path.join(GOLDENS, name);
  return {
    ...JSON.parse(readFileSync(path.join(folder, 'expected.json'), 'utf8')),
    tensors: tensorsOf(path.join(folder, 'expected.safetensors')),
  };
}

/** An image of tests/goldens/resize. */
export const imageFile = (name) => new Uint8Array(readFileSync(path.join(GOLDENS, 'resize', name)));

/** Returns a vector scaled to length 1. */
export function unit(vector) {
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  return vector.map((x) => x / length);
}

/** Rows of embeddings. */
export const rowsOf = ({ data, dims: [count, width] }) =>
  Array.from({ length: count }, (_, i) => data.subarray(i * width, (i + 1) * width));

/** The largest difference of any value, as a part of the largest value that is expected; NaN where one is no number. */
export function relativeError(rows, expected) {
  if (rows.length !== expected.length) throw new Error(`${rows.length} rows, expected ${expected.length}`);
  let [worst, largest] = [0, 0];
  rows.forEach((row, i) => {
    if (row.length !== expected[i].length) throw new Error(`${row.length} values, expected ${expected[i].length}`);
    row.forEach((value, j) => {
      // Math.max returns NaN if one value is NaN.
      worst = Math.max(worst, Math.abs(value - expected[i][j]));
      largest = Math.max(largest, Math.abs(expected[i][j]));
    });
  });
  return worst / largest;
}

/** Small whole numbers, the same each time. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 1 | state) + 0x6d2b79f5) >>> 0;
    state ^= state + Math.imul(state ^ (state >>> 7), 61 | state);
    return (state ^ (state >>> 14)) >>> 0;
  };
}

const CONFIG = {
  model_type: 'clip',
  projection_dim: 8,
  text_config: {
    vocab_size: 594,
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    max_position_embeddings: 77,
    eos_token_id: 2,
  },
  vision_config: {
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    image_size: 32,
    patch_size: 16,
  },
};

/** Names and shapes of all tensors, as `transformers` has them. */
export function clipShapes({ projection_dim: n, text_config: text, vision_config: vision }) {
  const layers = (tower, { hidden_size: d, intermediate_size: m, num_hidden_layers: count }) =>
    Array.from({ length: count }, (_, i) => `${tower}.encoder.layers.${i}`).flatMap((layer) => [
      ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].flatMap((name) => [
        [`${layer}.self_attn.${name}.weight`, [d, d]],
        [`${layer}.self_attn.${name}.bias`, [d]],
      ]),
      ...['layer_norm1', 'layer_norm2'].flatMap((name) => norm(`${layer}.${name}`, d)),
      [`${layer}.mlp.fc1.weight`, [m, d]],
      [`${layer}.mlp.fc1.bias`, [m]],
      [`${layer}.mlp.fc2.weight`, [d, m]],
      [`${layer}.mlp.fc2.bias`, [d]],
    ]);
  const norm = (name, d) => [
    [`${name}.weight`, [d]],
    [`${name}.bias`, [d]],
  ];
  const [d, e, p] = [text.hidden_size, vision.hidden_size, vision.patch_size];
  return [
    ['logit_scale', []],
    ['text_model.embeddings.token_embedding.weight', [text.vocab_size, d]],
    ['text_model.embeddings.position_embedding.weight', [text.max_position_embeddings, d]],
    ...layers('text_model', text),
    ...norm('text_model.final_layer_norm', d),
    ['text_projection.weight', [n, d]],
    ['vision_model.embeddings.class_embedding', [e]],
    ['vision_model.embeddings.patch_embedding.weight', [e, 3, p, p]],
    ['vision_model.embeddings.position_embedding.weight', [(vision.image_size / p) ** 2 + 1, e]],
    ...norm('vision_model.pre_layrnorm', e),
    ...layers('vision_model', vision),
    ...norm('vision_model.post_layernorm', e),
    ['visual_projection.weight', [n, e]],
  ];
}

/**
 * A CLIP of any size with random weights in f32: all files but the tokenizer. Changes of the config are put over a tiny one's.
 * The towers lie one after the other.
 */
export function seededClip({ text = {}, vision = {}, ...more } = {}, seed = 1) {
  const config = {
    ...CONFIG,
    ...more,
    text_config: { ...CONFIG.text_config, ...text },
    vision_config: { ...CONFIG.vision_config, ...vision },
  };
  const next = random(seed);
  const header = {};
  const parts = [];
  let end = 0;
  for (const [name, shape] of clipShapes(config)) {
    const count = shape.reduce((product, n) => product * n, 1);
    const middle = /norm\d?\.weight$/.test(name) ? 1 : 0;
    const values =
      name === 'logit_scale'
        ? Float32Array.of(4.6)
        : Float32Array.from({ length: count }, () => middle + (next() % 2001) / 5000 - 0.2);
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + values.byteLength] };
    end += values.byteLength;
    parts.push(new Uint8Array(values.buffer));
  }
  const { image_size: edge } = config.vision_config;
  const preprocessor = {
    size: { shortest_edge: edge },
    crop_size: { height: edge, width: edge },
    resample: 3,
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.25, 0.25, 0.25],
  };
  return {
    'config.json': json(config),
    'preprocessor_config.json': json(preprocessor),
    'model.safetensors': write({ header, data: new Uint8Array(Buffer.concat(parts)) }),
  };
}

export const json = (value) => new TextEncoder().encode(JSON.stringify(value));
