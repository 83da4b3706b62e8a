import { filesOf, tinyFolder } from './models.mjs';
import { write } from './safetensors.mjs';

/**
 * The files of a BERT with the tokenizer of `bert-tiny-mean`, whose weights a generator makes: the same bytes each time.
 * Its vectors mean nothing; it has the sizes that a test needs.
 */
export function seededBert({ layers, dimensions, intermediate = dimensions, heads = 12 }) {
  const files = filesOf(tinyFolder('bert-tiny-mean'));
  const json = (name) => JSON.parse(new TextDecoder().decode(files[name]));
  const asBytes = (value) => new TextEncoder().encode(JSON.stringify(value));
  const config = {
    ...json('config.json'),
    hidden_size: dimensions,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: intermediate,
  };
  const pooling = { ...json('1_Pooling/config.json'), word_embedding_dimension: dimensions };
  return {
    ...files,
    'config.json': asBytes(config),
    '1_Pooling/config.json': asBytes(pooling),
    'model.safetensors': randomWeights(shapesOf(config)),
  };
}

function shapesOf({ hidden_size: d, intermediate_size: wide, num_hidden_layers: layers, ...config }) {
  const linear = (name, [outputs, inputs]) => [
    [`${name}.weight`, [outputs, inputs]],
    [`${name}.bias`, [outputs]],
  ];
  const norm = (name) => [
    [`${name}.weight`, [d]],
    [`${name}.bias`, [d]],
  ];
  const layer = (_, i) => {
    const at = `encoder.layer.${i}`;
    return [
      ...['query', 'key', 'value'].flatMap((part) => linear(`${at}.attention.self.${part}`, [d, d])),
      ...linear(`${at}.attention.output.dense`, [d, d]),
      ...norm(`${at}.attention.output.LayerNorm`),
      ...linear(`${at}.intermediate.dense`, [wide, d]),
      ...linear(`${at}.output.dense`, [d, wide]),
      ...norm(`${at}.output.LayerNorm`),
    ];
  };
  return [
    ['embeddings.word_embeddings.weight', [config.vocab_size, d]],
    ['embeddings.position_embeddings.weight', [config.max_position_embeddings, d]],
    ['embeddings.token_type_embeddings.weight', [config.type_vocab_size, d]],
    ...norm('embeddings.LayerNorm'),
    ...Array.from({ length: layers }, layer).flat(),
  ];
}

/** A safetensors file with small numbers for tensors of these names and shapes, the same each time. */
export function randomWeights(shapes) {
  const header = {};
  let end = 0;
  for (const [name, shape] of shapes) {
    const begin = end;
    end += 4 * shape.reduce((product, edge) => product * edge);
    header[name] = { dtype: 'F32', shape, data_offsets: [begin, end] };
  }
  const next = generator(1);
  const values = Float32Array.from({ length: end / 4 }, () => (next() - 0.5) * 0.1);
  return write({ header, data: new Uint8Array(values.buffer) });
}

/** Numbers from 0 to 1: the linear congruential generator of Numerical Recipes. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
