// Repositories of CLIP that are broken in one way each: the error's code, that it names the culprit, and that a good one loads after it.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ImageTextEmbedder, PilotlightError } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { json } from './support/clip.mjs';
import { CUT, GOOD, INDEX, TOWERS, WEIGHTS } from './support/clip-towers.mjs';
import { mapStore } from './support/map-store.mjs';
import { withHeader } from './support/safetensors.mjs';
import { kindOf } from './support/store-keys.mjs';

describe('a repository that is broken', () => {
  const readJson = (files, name) => JSON.parse(new TextDecoder().decode(files[name]));
  const without = (files, ...names) =>
    Object.fromEntries(Object.entries(files).filter(([name]) => !names.includes(name)));
  const edited = (name, change) => {
    const value = readJson(GOOD, name);
    change(value);
    return { ...GOOD, [name]: json(value) };
  };
  const config = (tower, change) =>
    edited('config.json', (value) => Object.assign(tower ? value[`${tower}_config`] : value, change));
  const preprocessor = (change) => edited('preprocessor_config.json', (value) => Object.assign(value, change));
  const index = (change) => {
    const value = readJson(CUT, INDEX);
    change(value.weight_map, value);
    return { ...CUT, [INDEX]: json(value) };
  };
  const rename = (name) => ({
    ...GOOD,
    [WEIGHTS]: withHeader(GOOD[WEIGHTS], (header) => {
      header[`${name}.old`] = header[name];
      delete header[name];
    }),
  });
  const first = 'model-00001-of-00003.safetensors';
  const last = 'model-00003-of-00003.safetensors';

  /** Rows of [the fault, the files, the error's code, a pattern of the message, the tower that can still be loaded]. */
  const CASES = [
    [
      'the architecture is another one',
      config(null, { model_type: 'blip' }),
      'UNSUPPORTED_MODEL',
      /config\.json.*blip/,
    ],
    ['the architecture is not told', config(null, { model_type: undefined }), 'UNSUPPORTED_MODEL', /config\.json/],
    ['config.json is a list', { ...GOOD, 'config.json': json([]) }, 'INVALID_WEIGHTS', /config\.json/],
    [
      'config.json is cut off',
      { ...GOOD, 'config.json': GOOD['config.json'].subarray(0, 99) },
      'INVALID_WEIGHTS',
      /config\.json/,
    ],
    ['a vector has no values', config(null, { projection_dim: 0 }), 'INVALID_WEIGHTS', /config\.json.*projection_dim/],
    ['a vector has too many values', config(null, { projection_dim: 2 ** 40 }), 'INVALID_WEIGHTS', /config\.json/],
    ['text_config is no object', config(null, { text_config: 7 }), 'INVALID_WEIGHTS', /config\.json.*/],
    ['there are no words', config('text', { vocab_size: 0 }), 'INVALID_WEIGHTS', /config\.json.*vocab_size/],
    [
      'there are no positions',
      config('text', { max_position_embeddings: 0 }),
      'INVALID_WEIGHTS',
      /config\.json.*max_position_embeddings/,
    ],
    [
      'positions leave no room for a word',
      config('text', { max_position_embeddings: 2 }),
      'INVALID_WEIGHTS',
      /tokenizer\.json|position_embedding/,
      'image',
    ],
    [
      'the text tower has no layers',
      config('text', { num_hidden_layers: 0 }),
      'INVALID_WEIGHTS',
      /config\.json.*text_config\.num_hidden_layers/,
    ],
    [
      'the text tower has no heads',
      config('text', { num_attention_heads: 0 }),
      'INVALID_WEIGHTS',
      /config\.json.*text_config\.num_attention_heads/,
    ],
    [
      'the heads do not share the text tower',
      config('text', { num_attention_heads: 5 }),
      'INVALID_WEIGHTS',
      /config\.json.*hidden_size 32.*5/,
    ],
    [
      'the heads do not share the image tower',
      config('vision', { num_attention_heads: 7 }),
      'INVALID_WEIGHTS',
      /config\.json.*hidden_size 48.*7/,
    ],
    [
      'the image tower has no width',
      config('vision', { hidden_size: 0 }),
      'INVALID_WEIGHTS',
      /config\.json.*vision_config\.hidden_size/,
    ],
    [
      'a million layers are promised',
      config('vision', { num_hidden_layers: 1e6 }),
      'INVALID_WEIGHTS',
      /config\.json.*num_hidden_layers/,
    ],
    [
      'the activation is unknown',
      config('vision', { hidden_act: 'swoosh' }),
      'UNSUPPORTED_MODEL',
      /config\.json.*swoosh/,
    ],
    [
      'layer_norm_eps is negative',
      config('text', { layer_norm_eps: -1 }),
      'INVALID_WEIGHTS',
      /config\.json.*layer_norm_eps/,
    ],
    ['images have no pixels', config('vision', { image_size: 0 }), 'INVALID_WEIGHTS', /config\.json.*image_size/],
    [
      'images have too many pixels',
      config('vision', { image_size: 1e6, patch_size: 1e3 }),
      'INVALID_WEIGHTS',
      /config\.json.*image_size/,
    ],
    ['patches have no pixels', config('vision', { patch_size: 0 }), 'INVALID_WEIGHTS', /config\.json.*patch_size/],
    [
      'images are grey',
      config('vision', { num_channels: 1 }),
      'UNSUPPORTED_MODEL',
      /config\.json.*num_channels is 1, expected 3/,
    ],

    [
      'the preprocessor is missing',
      without(GOOD, 'preprocessor_config.json'),
      'FETCH_FAILED',
      /preprocessor_config\.json/,
      'text',
    ],
    [
      'the preprocessor is no JSON',
      { ...GOOD, 'preprocessor_config.json': json('resize') },
      'INVALID_WEIGHTS',
      /preprocessor_config\.json/,
      'text',
    ],
    [
      'the preprocessor makes other images',
      preprocessor({ size: 24, crop_size: 24 }),
      'INVALID_WEIGHTS',
      /preprocessor_config\.json.*24.*32/,
      'text',
    ],
    [
      'the preprocessor makes oblong images',
      preprocessor({ crop_size: { height: 32, width: 16 } }),
      'INVALID_WEIGHTS',
      /preprocessor_config\.json/,
      'text',
    ],
    [
      'the preprocessor makes nothing',
      preprocessor({ size: 0, crop_size: 0 }),
      'INVALID_WEIGHTS',
      /preprocessor_config\.json.*size/,
      'text',
    ],
    [
      'the preprocessor divides by nothing',
      preprocessor({ image_std: [0, 1, 1] }),
      'INVALID_WEIGHTS',
      /preprocessor_config\.json.*image_std/,
      'text',
    ],
    [
      'the preprocessor has a mean too few',
      preprocessor({ image_mean: [0, 0] }),
      'INVALID_WEIGHTS',
      /preprocessor_config\.json/,
      'text',
    ],
    [
      'the preprocessor resizes otherwise',
      preprocessor({ resample: 1 }),
      'UNSUPPORTED_MODEL',
      /preprocessor_config\.json.*resample is 1/,
      'text',
    ],
    [
      'the preprocessor does not crop',
      preprocessor({ do_center_crop: false }),
      'UNSUPPORTED_MODEL',
      /preprocessor_config\.json.*do_center_crop/,
      'text',
    ],
    [
      'the preprocessor does not scale to one',
      preprocessor({ do_rescale: false }),
      'UNSUPPORTED_MODEL',
      /preprocessor_config\.json.*do_rescale/,
      'text',
    ],
    [
      'the preprocessor scales otherwise',
      preprocessor({ rescale_factor: 0.5 }),
      'UNSUPPORTED_MODEL',
      /preprocessor_config\.json.*rescale_factor/,
      'text',
    ],

    ['config.json is missing', without(GOOD, 'config.json'), 'FETCH_FAILED', /config\.json/],
    ['the tokenizer is missing', without(GOOD, 'tokenizer.json'), 'FETCH_FAILED', /tokenizer\.json/, 'image'],
    ['the weights are missing', without(GOOD, WEIGHTS), 'FETCH_FAILED', /model\.safetensors/],
    [
      'a tensor of the text tower is missing',
      rename('text_model.encoder.layers.1.mlp.fc1.weight'),
      'INVALID_WEIGHTS',
      /model\.safetensors.*layers\.1\.mlp\.fc1\.weight/,
      'image',
    ],
    [
      'a tensor of the image tower is missing',
      rename('vision_model.pre_layrnorm.weight'),
      'INVALID_WEIGHTS',
      /model\.safetensors.*pre_layrnorm\.weight/,
      'text',
    ],
    [
      'the temperature is missing',
      rename('logit_scale'),
      'INVALID_WEIGHTS',
      /model\.safetensors.*logit_scale/,
      'image',
    ],

    [
      'the index is no JSON',
      { ...CUT, [INDEX]: new TextEncoder().encode('{"weight_map": {') },
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json/,
    ],
    [
      'the index has no map',
      { ...CUT, [INDEX]: json({ metadata: {} }) },
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json.*weight_map/,
    ],
    [
      'the index has a number for a file',
      index((map) => (map['text_projection.weight'] = 3)),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json/,
    ],
    [
      'the index lacks a tensor',
      index((map) => delete map['text_projection.weight']),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json.*text_projection\.weight/,
      'image',
    ],
    [
      'the index leads out of the repository',
      index((map) => (map['text_projection.weight'] = '../../other/model-1.safetensors')),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json.*\.\.\/\.\.\/other/,
      'image',
    ],
    [
      'the index leads to another host',
      index((map) => (map['text_projection.weight'] = 'https://evil.example/model-1.safetensors')),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json.*evil/,
      'image',
    ],
    [
      'the index names a file oddly',
      index((map) => (map['visual_projection.weight'] = 'weights.bin')),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json.*weights\.bin/,
      'text',
    ],
    [
      'the index names a file without end',
      index((map) => (map['visual_projection.weight'] = `model-${'1'.repeat(5000)}.safetensors`)),
      'INVALID_WEIGHTS',
      /model\.safetensors\.index\.json/,
      'text',
    ],
    [
      'the index names another shard than has it',
      index((map) => (map['text_projection.weight'] = first)),
      'INVALID_WEIGHTS',
      /model-00001-of-00003\.safetensors.*text_projection\.weight/,
      'image',
    ],
    ['the first shard is missing', without(CUT, first), 'FETCH_FAILED', /model-00001-of-00003\.safetensors/, 'image'],
    ['the last shard is missing', without(CUT, last), 'FETCH_FAILED', /model-00003-of-00003\.safetensors/],
    ['a shard is empty', { ...CUT, [last]: new Uint8Array() }, 'INVALID_WEIGHTS', /model-00003-of-00003\.safetensors/],
    [
      'a shard is cut off',
      { ...CUT, [last]: CUT[last].subarray(0, -100) },
      'INVALID_WEIGHTS',
      /model-00003-of-00003\.safetensors/,
    ],
    [
      'a shard is a web page',
      { ...CUT, [last]: new TextEncoder().encode('<!doctype html><title>Sign in</title>') },
      'FETCH_FAILED',
      /model-00003-of-00003\.safetensors.*HTML/,
    ],
  ];

  let broken;
  before(async () => {
    broken = await startHub({
      models: { 'test/good': GOOD, ...Object.fromEntries(CASES.map(([, files], i) => [`test/case-${i}`, files])) },
    });
  });
  after(() => broken.close());

  async function assertRefused(model, more, code, says, tower) {
    const store = mapStore();
    const open = { host: broken.url, dtype: 'f32', store, timeout: 500, ...more };
    const error = await ImageTextEmbedder.load(model, open).then(
      () => assert.fail('it loaded'),
      (thrown) => thrown,
    );
    assert.ok(error instanceof PilotlightError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, says);
    const kept = [...store.rows.keys()];
    // The tower that is good may be there, whole; of the other only what may still come to its end.
    assert.deepEqual(
      kept.filter((key) => kindOf(key) === 'manifest' && !key.includes(`-${tower}.`)),
      [],
    );
    if (code !== 'FETCH_FAILED')
      assert.deepEqual(
        kept.filter((key) => !tower || (kindOf(key) === 'partial' && !key.includes(`-${tower}.`))),
        [],
      );
    if (tower) {
      const embedder = await ImageTextEmbedder.load(model, { ...open, towers: [tower] });
      assert.deepEqual(embedder.towers, [tower]);
      embedder.dispose();
    }
    const next = await ImageTextEmbedder.load('test/good', { ...open, files: undefined });
    assert.deepEqual((await next.embedTexts('x')).dims, [1, 24]);
    next.dispose();
  }

  for (const [i, [what, files, code, says, tower]] of CASES.entries()) {
    test(`${what}: ${code}`, () => assertRefused(`test/case-${i}`, {}, code, says, tower));
    test(`${what}, in the caller's own bytes: ${code}`, () =>
      assertRefused(`test/case-${i}`, { files }, code, says, tower));
  }

  test('a stream that both towers would have to read is refused in words that say so', async () => {
    const stream = new Blob([GOOD[WEIGHTS]]).stream();
    await assertRefused('test/case', { files: { ...GOOD, [WEIGHTS]: stream } }, 'INVALID_INPUT', /model\.safetensors/);
    await assertRefused(
      'test/case',
      { files: { ...GOOD, 'config.json': new Response(GOOD['config.json']) } },
      'INVALID_INPUT',
      /config\.json/,
    );
  });

  test('a stream is enough for one tower', async () => {
    for (const tower of TOWERS) {
      const files = {
        ...GOOD,
        [WEIGHTS]: new Blob([GOOD[WEIGHTS]]).stream(),
        'config.json': new Response(GOOD['config.json']),
      };
      const embedder = await ImageTextEmbedder.load('test/case', { files, dtype: 'f32', towers: [tower] });
      assert.equal(embedder.dimensions, 24);
      embedder.dispose();
    }
  });
});
