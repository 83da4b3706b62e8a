// TextDetector as it is shipped, on the real SmolLM2; `make smollm2` fetches it.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TextDetector } from 'pilotlight';
import { ROOT, SMOLLM2 } from './support/models.mjs';

const FILE = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const DATA = process.env.PILOTLIGHT_DATA ?? path.join(ROOT, '../shared/data');
const isThere = existsSync(path.join(SMOLLM2, FILE));

/** Written for this test. */
const TEXT = `We had meant to leave before eight, but the van would not start, and by the time my uncle had found someone with cables
the frost was gone from the windows and the road was full. Nobody said much. My sister counted lorries, "thirty-one, thirty-two", until
she lost count near the bridge and began again. At the farm the gate stood open. A dog we did not know barked at us from the step, and then, as if
it had only wanted to be asked, lay down. The house smelled of apples and wet coats. Grandfather's chair was still by the stove, with the
blanket folded the way he did it, and for a while none of us could sit anywhere at all.`;

describe('the detector of the package', {
  skip: !isThere && `no ${FILE} in ${SMOLLM2}: make smollm2 fetches it`,
}, () => {
  const files = () => ({ [FILE]: new Uint8Array(readFileSync(path.join(SMOLLM2, FILE))) });
  let detector;
  before(async () => {
    detector = await TextDetector.load(undefined, { files: files(), device: 'cpu', store: false });
  });
  after(() => detector?.dispose());

  test('the plan is shown before the load, and can be refused', async () => {
    const plans = [];
    const onPlan = async (plan) => {
      plans.push(plan);
      return false;
    };
    const load = TextDetector.load(undefined, { files: files(), device: 'cpu', store: false, onPlan });
    await assert.rejects(load, { code: 'ABORTED', message: /plan/ });
    assert.equal(plans.length, 1);
    assert.equal(plans[0].class, 'Decoder');
  });

  test('a text by a person is not a machine’s, and its sentences are marked', async () => {
    const { verdict, tokens, sentences, score, threshold } = await detector.detect(TEXT);
    assert.notEqual(verdict, 'machine');
    assert.ok(tokens > 130 && tokens < 200, `${tokens} tokens`);
    assert.ok(score < threshold);
    assert.equal(sentences.length, 7);
    assert.equal(TEXT.slice(sentences[1].start, sentences[1].end), 'Nobody said much.');
    assert.ok(sentences.every(({ contribution }) => Number.isFinite(contribution)));
  });

  test('newlines, double spaces, curly quotes and a clean ending change no score', async () => {
    const { score } = await detector.detect(TEXT);
    for (const other of [
      TEXT.replace(/\n/g, ' ').replace(/\.$/, ''),
      TEXT.replace(/ /g, '  ')
        .replace(/"(.*?)"/g, '“$1”')
        .replace(/'/g, '’'),
      TEXT.replace(/ /g, '\n').replace(/\.$/, '!').replace(/e/g, 'е').replace(/o/, 'o\u200d'),
    ])
      assert.equal((await detector.detect(other)).score, score, other);
  });

  test('essays by people who learn English are seldom flagged, and those of GPT-3.5 mostly are', {
    skip: !existsSync(DATA) && `no ${DATA}`,
  }, async () => {
    const read = (name) => JSON.parse(readFileSync(path.join(DATA, 'bias', `${name}.json`), 'utf8')).slice(0, 4);
    const above = async (name) =>
      (await detector.detect(read(name))).filter(({ score, threshold }) => score > threshold).length;
    assert.ok((await above('toefl_human')) <= 1);
    assert.ok((await above('college_gpt35')) >= 2);
  });
});
