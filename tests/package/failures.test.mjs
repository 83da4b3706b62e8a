// Tests the properties of an error beside its code: the status, the reason, the file and the tensor.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { models, PilotlightError, TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { filesOf, tinyFolder } from './support/models.mjs';
import { parse, withHeader } from './support/safetensors.mjs';

const GOOD = filesOf(tinyFolder('bert-tiny-mean'));
const WEIGHTS = 'model.safetensors';
const QUERY = 'encoder.layer.0.attention.self.query.weight';
const NAMES = ['status', 'reason', 'file', 'tensor', 'needed', 'available'];

/** Loads, and returns what of the failure is there: what is not known is absent. */
async function failureOf(model, options) {
  const error = await TextEmbedder.load(model, { store: false, timeout: 100, ...options }).then(
    () => assert.fail('it loaded'),
    (thrown) => thrown,
  );
  assert.ok(error instanceof PilotlightError, String(error));
  const known = NAMES.filter((name) => Object.hasOwn(error, name)).map((name) => [name, error[name]]);
  return { code: error.code, ...Object.fromEntries(known) };
}

describe('from a host', () => {
  let hub;
  before(async () => {
    const { 'tokenizer.json': _, ...incomplete } = GOOD;
    hub = await startHub({ models: { 'test/good': GOOD, 'test/incomplete': incomplete }, port: 0 });
  });
  after(() => hub.close());

  const FAILED = { code: 'FETCH_FAILED' };
  for (const [what, fault, expected] of [
    ['404 for a file', { file: 'config.json', fault: 'status', value: 404 }, { status: 404, file: 'config.json' }],
    ['403 for a file', { file: WEIGHTS, fault: 'status', value: 403 }, { status: 403, file: WEIGHTS }],
    ['503 again and again', { file: WEIGHTS, fault: 'status', value: 503 }, { status: 503, file: WEIGHTS }],
    ['a web page for a small file', { file: 'config.json', fault: 'html' }, { reason: 'html', file: 'config.json' }],
    ['a web page for the weights', { file: WEIGHTS, fault: 'html' }, { reason: 'html', file: WEIGHTS }],
    ['no answer in time', { file: 'config.json', fault: 'stall' }, { reason: 'stalled', file: 'config.json' }],
    ['no more bytes', { file: WEIGHTS, fault: 'stall', value: 20_000 }, { reason: 'stalled', file: WEIGHTS }],
    ['a connection that breaks off', { file: WEIGHTS, fault: 'reset', value: 20_000 }, { file: WEIGHTS }],
  ]) {
    test(what, async () => {
      hub.setFaults([fault]);
      const failure = await failureOf('test/good', { host: hub.url }).finally(() => hub.setFaults([]));
      assert.deepEqual(failure, { ...FAILED, ...(expected.status && { reason: 'status' }), ...expected });
    });
  }

  test('the query of a host is sent with every request, and a failure does not have it', async () => {
    const query = 'sv=1&sig=a%2Fsecret%3D';
    const options = { host: `${hub.url}/?${query}`, store: false };
    hub.requests.length = 0;
    const embedder = await TextEmbedder.load('test/good', options);
    assert.deepEqual((await embedder.embed('a')).dims, [1, 32]);
    embedder.dispose();
    assert.equal((await models.plan('test/good', options)).fits, true);
    assert.ok(hub.requests.length > 8);
    assert.ok(hub.requests.some(({ url }) => url.includes('?recursive=true&')));
    for (const { url } of hub.requests) assert.ok(url.endsWith(query), url);
    hub.setFaults([{ file: WEIGHTS, fault: 'status', value: 403 }]);
    const error = await TextEmbedder.load('test/good', options)
      .catch((thrown) => thrown)
      .finally(() => hub.setFaults([]));
    assert.deepEqual([error.code, error.status], ['FETCH_FAILED', 403]);
    assert.match(error.message, /127\.0\.0\.1:\d+\/test\/good/);
    assert.doesNotMatch(`${error.stack}${error.cause}`, /secret|sig=/);
  });

  test('a file that the repository does not have', async () =>
    assert.deepEqual(await failureOf('test/incomplete', { host: hub.url }), {
      ...FAILED,
      status: 404,
      reason: 'status',
      file: 'tokenizer.json',
    }));

  test('a repository that does not exist', async () => {
    assert.deepEqual(await failureOf('test/nothing', { host: hub.url }), {
      ...FAILED,
      status: 401,
      reason: 'no-repository',
    });
  });

  test('a revision that does not exist', async () =>
    assert.deepEqual(await failureOf('test/good', { host: hub.url, revision: 'nowhere' }), {
      ...FAILED,
      status: 404,
      reason: 'no-revision',
    }));

  test('a repository whose terms were not accepted', async () => {
    const gated = await startHub({ models: { 'test/good': GOOD }, port: 0, traits: { gated: true } });
    try {
      const { code, status, reason } = await failureOf('test/good', { host: gated.url });
      assert.deepEqual([code, status, reason], ['FETCH_FAILED', 401, 'gated']);
    } finally {
      await gated.close();
    }
  });

  test('a host that is not there', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address();
    server.close();
    await once(server, 'close');
    assert.deepEqual(await failureOf('test/good', { host: `http://127.0.0.1:${port}` }), {
      ...FAILED,
      reason: 'unreachable',
    });
  });
});

describe('from own bytes', () => {
  const load = (bytes) => failureOf('test/own', { files: { ...GOOD, [WEIGHTS]: bytes } });
  const edited = (change) => withHeader(GOOD[WEIGHTS], change);

  test('a tensor of another shape', async () => {
    const [rows, columns] = parse(GOOD[WEIGHTS]).header[QUERY].shape;
    const failure = await load(edited((all) => Object.assign(all[QUERY], { shape: [rows / 2, columns * 2] })));
    assert.deepEqual(failure, { code: 'INVALID_WEIGHTS', file: WEIGHTS, tensor: QUERY });
  });

  test('a tensor whose offsets do not fit its shape', async () => {
    const failure = await load(edited((all) => Object.assign(all[QUERY], { shape: [1, 1] })));
    assert.deepEqual(failure, { code: 'INVALID_WEIGHTS', file: WEIGHTS, tensor: QUERY });
  });

  test('a tensor under another name', async () => {
    const renamed = edited((all) => {
      all.other = all[QUERY];
      delete all[QUERY];
    });
    assert.deepEqual(await load(renamed), { code: 'INVALID_WEIGHTS', file: WEIGHTS, tensor: QUERY });
  });

  test('a web page instead of weights', async () => {
    const failure = await load(new TextEncoder().encode('<!doctype html>'));
    assert.deepEqual(failure, { code: 'FETCH_FAILED', reason: 'html', file: WEIGHTS });
  });

  test('a file that is not given', async () => {
    const { [WEIGHTS]: _, ...rest } = GOOD;
    assert.deepEqual(await failureOf('test/own', { files: rest }), {
      code: 'FETCH_FAILED',
      status: 404,
      reason: 'status',
      file: WEIGHTS,
    });
  });

  test('a Response that is no success', async () => {
    const failure = await load(new Response('gone', { status: 410 }));
    assert.deepEqual([failure.code, failure.status, failure.reason], ['FETCH_FAILED', 410, 'status']);
  });
});

test('an option that is wrong has none of them', async () => {
  assert.deepEqual(await failureOf('test/good', { device: 'abacus' }), { code: 'INVALID_INPUT' });
});
