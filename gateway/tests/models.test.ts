/** The registry: what is loaded when, what memory allows, where files come from, and what `/v1/models` tells. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { PilotlightError } from 'pilotlight';
import { answerLine } from '../src/invoke.ts';
import { readConfig } from '../src/models/config.ts';
import { allLoaders } from '../src/models/local/all.ts';
import { guessTokens, slices, sliceTokens } from '../src/models/local/compute.ts';
import type { Place } from '../src/models/local/files.ts';
import type { Loaded, Loader } from '../src/models/local/loader.ts';
import { SCOPES } from '../src/operation.ts';
import { FolderBlobs } from '../src/parts/folder.ts';
import { keyFor } from './support/app.ts';
import {
  context,
  embedderOf,
  filesOf,
  inFolder,
  type Json,
  type ModelHost,
  modelHost,
  ROOT,
  tinyFolder,
} from './support/models.ts';
import { lacking } from './support/needs.ts';
import { MODEL, packedMiniLm } from './support/packed.ts';

const TINY = tinyFolder('bert-tiny-mean');
const tiny = inFolder('embed', TINY, 'test/bert-tiny-mean');

interface Fake {
  loader: Loader;
  loads: string[];
  disposed: string[];
  /** The errors that the next loads or calls throw. */
  failing: { load?: unknown; call?: unknown };
  /** Ends a call that waits for it. */
  gate?: Promise<void>;
}

/** A loader of models that are not there, whose vectors are the lengths of the texts. */
function fake(): Fake {
  const self: Fake = {
    loads: [],
    disposed: [],
    failing: {},
    async loader({ repository, compute }): Promise<Loaded> {
      self.loads.push(repository);
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (self.failing.load) throw self.failing.load;
      return {
        dimensions: 1,
        maxTokens: 128,
        calls: {
          async embed(texts, _, { job }) {
            await self.gate;
            if (self.failing.call) throw self.failing.call;
            await compute.run(texts.length, async () => {}, job);
            return {
              data: Float32Array.from(texts, ({ length }) => length),
              dims: [texts.length, 1],
              tokens: texts.map(() => 3),
              truncated: texts.map(() => false),
            };
          },
        },
        dispose: () => self.disposed.push(repository),
      };
    },
  };
  return self;
}

const named = (name: string, memory = 16, more: object = {}): object => ({
  task: 'embed',
  run: 'local',
  source: `org/${name}`,
  memory_mb: memory,
  ...more,
});

const ask = (model: string): [string, object] => ['/v1/embeddings', { model, input: 'abc' }];

describe('loads', () => {
  test('requests at the same time load a model once, and later ones find it', async () => {
    const { loader, loads } = fake();
    await using host = await modelHost({ models: { a: named('a') } }, { parts: { loaders: { embed: loader } } });
    assert.deepEqual(host.models.states(), [{ id: 'a', loaded: false }]);
    const answers = await Promise.all(Array.from({ length: 10 }, () => host.post(...ask('a'))));
    assert.ok(answers.every(({ status }) => status === 200));
    await host.post('/v1/embeddings', { model: 'a', input: 'other' });
    assert.deepEqual(loads, ['org/a']);
    assert.deepEqual(host.models.states(), [{ id: 'a', loaded: true }]);
    assert.deepEqual(
      host.events.observed.filter(({ name }) => name === 'model_load_seconds').map(({ labels }) => labels),
      [{ model: 'a' }],
    );
  });

  test('a load that failed is forgotten, and its error names no place', async () => {
    const made = fake();
    made.failing.load = new PilotlightError('FETCH_FAILED', 'https://secret.example/config.json: unreachable');
    await using host = await modelHost({ models: { a: named('a') } }, { parts: { loaders: { embed: made.loader } } });
    const { status, json, headers } = await host.post(...ask('a'));
    assert.equal(status, 503);
    assert.equal(json.error.code, 'model_not_loaded');
    assert.ok(headers.get('retry-after'));
    assert.match(json.error.message, /"a" could not be loaded \(FETCH_FAILED\)/);
    assert.doesNotMatch(JSON.stringify(json), /secret\.example/);
    made.failing = {};
    assert.equal((await host.post(...ask('a'))).status, 200);
    assert.equal(made.loads.length, 2);
  });

  test('a load goes on when the client that caused it has left', async () => {
    const { loader, loads } = fake();
    await using host = await modelHost({ models: { a: named('a') } }, { parts: { loaders: { embed: loader } } });
    const leaving = new AbortController();
    const left = host.models.get('a', 'embed', { ...context(), signal: leaving.signal });
    const waiting = host.models.get('a', 'embed', context());
    leaving.abort();
    await assert.rejects(left, { code: 'client_closed' });
    assert.equal((await waiting).info.dimensions, 1);
    assert.equal(loads.length, 1);
  });

  test('a model that trapped is dropped and loaded anew; invalid input leaves it', async () => {
    const made = fake();
    await using host = await modelHost({ models: { a: named('a') } }, { parts: { loaders: { embed: made.loader } } });
    made.failing.call = new PilotlightError('INVALID_INPUT', 'texts[0]: is too odd');
    const odd = await host.post(...ask('a'));
    assert.equal(odd.status, 400);
    assert.equal(odd.json.error.message, 'input[0]: is too odd');
    assert.equal(odd.json.error.param, 'input[0]');
    made.failing.call = new PilotlightError('INTERNAL', 'the WebAssembly instance trapped');
    assert.equal((await host.post(...ask('a'))).status, 503);
    assert.equal(made.loads.length, 1);
    made.failing = {};
    assert.equal((await host.post(...ask('a'))).status, 200);
    assert.equal(made.loads.length, 2);
  });

  test('a deployment without the code for a task says so', async () => {
    await using host = await modelHost({ models: { a: named('a') } }, { parts: { loaders: {} } });
    const { status, json } = await host.post(...ask('a'));
    assert.equal(status, 503);
    assert.match(json.error.message, /no code for embed/);
  });
});

describe('memory', () => {
  const settings = { MAX_MEMORY_MB: '40' };

  test('the model that was used least makes room for another', async () => {
    const { loader, loads, disposed } = fake();
    const models = { a: named('a'), b: named('b'), c: named('c') };
    await using host = await modelHost({ models }, { settings, parts: { loaders: { embed: loader } } });
    for (const id of ['a', 'b', 'a', 'c']) {
      await host.post('/v1/embeddings', { model: id, input: `${loads.length}` });
      // Times have the precision of a millisecond.
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    assert.deepEqual(loads, ['org/a', 'org/b', 'org/c']);
    assert.deepEqual(disposed, ['org/b']);
  });

  test('a model that never fits is refused without a load, and takes no other’s place', async () => {
    const { loader, loads, disposed } = fake();
    const models = { a: named('a'), big: named('big', 41) };
    await using host = await modelHost({ models }, { settings, parts: { loaders: { embed: loader } } });
    await host.post(...ask('a'));
    const { status, json } = await host.post(...ask('big'));
    assert.equal(status, 503);
    assert.match(json.error.message, /takes 41 MiB, and MAX_MEMORY_MB is 40/);
    assert.deepEqual([loads, disposed], [['org/a'], []]);
  });

  test('a model in use is not taken from under its request', async () => {
    const made = fake();
    const gate = Promise.withResolvers<void>();
    const models = { a: named('a', 30), b: named('b', 30) };
    await using host = await modelHost({ models }, { settings, parts: { loaders: { embed: made.loader } } });
    made.gate = gate.promise;
    const running = host.post(...ask('a'));
    await new Promise((resolve) => setTimeout(resolve, 60));
    const refused = await host.post(...ask('b'));
    assert.equal(refused.status, 503);
    assert.match(refused.json.error.message, /those that are in use leave 10/);
    gate.resolve();
    assert.equal((await running).status, 200);
    assert.equal((await host.post(...ask('b'))).status, 200);
    assert.deepEqual(made.disposed, ['org/a']);
  });

  test('without a number in the config, a plan tells what a model takes', async () => {
    const model = { task: 'embed', run: 'local', source: `folder:${TINY}` };
    await using host = await modelHost({ models: { tiny: model } });
    const mib = await host.models.memoryOf('tiny');
    assert.ok(mib >= 1 && mib < 16, `${mib} MiB`);
    assert.equal((await host.post(...ask('tiny'))).status, 200);
  });
});

describe('over 4,096 tokens that wait for the one that is computed', () => {
  /** A model whose memory is filled by other calls: one that runs, and one of so many tokens that waits in slices. */
  async function filled(waiting: number) {
    const { loader } = fake();
    const stuck = Promise.withResolvers<void>();
    let fill: Promise<unknown> | undefined;
    const filling: Loader = async (request) => {
      const { compute } = request;
      const texts = Array.from({ length: waiting / 64 }, () => 'x'.repeat(248));
      fill = Promise.all([
        compute.run(100_000, () => stuck.promise),
        compute.each(texts, { most: 128, tokensOf: (text) => guessTokens(text) }, () => stuck.promise),
      ]);
      return loader(request);
    };
    const host = await modelHost({ models: { a: named('a') } }, { parts: { loaders: { embed: filling } } });
    const end = async () => {
      stuck.resolve();
      await fill;
    };
    // A host waits at its end for the work that it holds.
    const dispose = host[Symbol.asyncDispose].bind(host);
    return Object.assign(host, { end, [Symbol.asyncDispose]: () => end().then(dispose) });
  }
  const gauge = (host: ModelHost) => host.events.observed.filter(({ name }) => name === 'queue_tokens').at(-1)?.value;

  test('a request is refused, and the gauge tells of what it met', async () => {
    await using host = await filled(4160);
    const { status, json, headers } = await host.post(...ask('a'));
    assert.equal(status, 429);
    assert.equal(json.error.code, 'overloaded');
    assert.equal(headers.get('retry-after'), '1');
    assert.deepEqual([host.models.queuedTokens, gauge(host)], [4160, 4160]);
    await host.end();
    assert.deepEqual([host.models.queuedTokens, gauge(host)], [0, 0]);
    assert.equal((await host.post(...ask('a'))).status, 200);
  });

  test('with fewer it is answered, though the one that is computed is larger', async () => {
    await using host = await filled(4096);
    assert.equal((await host.post(...ask('a'))).status, 200);
  });

  test('a line of a batch is answered', async () => {
    await using host = await filled(4160);
    const [path, body] = ask('a');
    const key = { id: 'k', name: 'k', owner: 'o', scopes: SCOPES, limits: {}, models: null, history: 'off' } as const;
    const { status } = await answerLine(host, key, path, body, new AbortController().signal);
    assert.equal(status, 200);
    assert.equal(host.models.queuedTokens, 4160, 'nobody waits for a line');
  });
});

describe('where files come from', () => {
  const files = filesOf(TINY);

  test('the blobs, in the layouts of pull and of plain copies; the digest changes with the files', async () => {
    const source = 'blobs:models/test/bert-tiny-mean';
    const models = { tiny: { task: 'embed', run: 'local', source, memory_mb: 16 } };
    await using host = await modelHost({ models });
    const missing = await host.post(...ask('tiny'));
    assert.equal(missing.status, 503);
    for (const [name, bytes] of Object.entries(files))
      await host.blobs.put(`models/test/bert-tiny-mean/resolve/main/${name}`, bytes);
    const { status, json } = await host.post(...ask('tiny'));
    assert.equal(status, 200);
    const embedder = await embedderOf(TINY, 'test/bert-tiny-mean');
    assert.deepEqual(json.data[0].embedding, Array.from((await embedder.embed('abc')).data));
    embedder.dispose();
    const [before] = await host.models.list();
    await host.blobs.put(
      'models/test/bert-tiny-mean/resolve/main/model.safetensors',
      files['model.safetensors'] as Uint8Array,
    );
    await using other = await modelHost({ models }, { parts: { blobs: host.blobs } });
    const [after] = await other.models.list();
    assert.notEqual(after?.digest, before?.digest);
  });

  test('a packed model is planned by its lock file, and each of its files is read once', {
    skip: lacking('minilm'),
  }, async () => {
    const folder = await packedMiniLm();
    const reads: string[] = [];
    const inner = new FolderBlobs(folder);
    const place: Place = {
      get(key, range) {
        reads.push(key);
        return inner.get(key, range);
      },
    };
    const loaders = {
      ...allLoaders,
      plan: async (): Promise<number> => assert.fail('it was planned'),
    };
    const places = { counted: () => ({ place, prefix: '' }) };
    const models = { minilm: { task: 'embed', run: 'local', source: `counted:${MODEL}` } };
    await using host = await modelHost(
      { models },
      { settings: { MODEL_PATH: 'counted:' }, parts: { loaders, places } },
    );
    const { status } = await host.post('/v1/embeddings', { model: 'minilm', input: 'a' });
    assert.equal(status, 503, 'a place without a list needs the right prefix');
    const found = { minilm: { task: 'embed', run: 'local', source: MODEL } };
    await using other = await modelHost(
      { models: found },
      { settings: { MODEL_PATH: 'counted:' }, parts: { loaders, places } },
    );
    reads.length = 0;
    assert.equal((await other.post('/v1/embeddings', { model: 'minilm', input: 'a' })).status, 200);
    const mib = await other.models.memoryOf('minilm');
    assert.ok(mib > 36 && mib < 42, `${mib} MiB`);
    assert.deepEqual(reads, [...new Set(reads)]);
    assert.ok(reads.some((key) => key.endsWith('pilotlight-q8.safetensors')));
  });

  test('MODEL_PATH: a folder, or a place with a prefix', async () => {
    const models = { tiny: { task: 'embed', run: 'local', source: 'test/bert-tiny-mean', memory_mb: 16 } };
    await using host = await modelHost({ models }, { settings: { MODEL_PATH: tinyFolder('') } });
    assert.equal((await host.post(...ask('tiny'))).status, 200);
    await using blobs = await modelHost({ models }, { settings: { MODEL_PATH: 'blobs:all' } });
    for (const [name, bytes] of Object.entries(files)) await blobs.blobs.put(`all/test/bert-tiny-mean/${name}`, bytes);
    assert.equal((await blobs.post(...ask('tiny'))).status, 200);
  });

  test('a host, whose token goes to it alone; what is kept in the blobs is not fetched again', async () => {
    const { startHub } = await import(`${ROOT}/tests/hub/hub.mjs`);
    const hub = await startHub({ models: { 'test/bert-tiny-mean': TINY } });
    try {
      const entry = {
        task: 'embed',
        run: 'local',
        source: `${hub.url}/test/bert-tiny-mean`,
        memory_mb: 16,
        keep: true,
      };
      await using host = await modelHost({ models: { tiny: { ...entry, secret: 'HUB_TOKEN' } } });
      assert.equal((await host.post(...ask('tiny'))).status, 503);
      assert.equal(hub.requests.length, 0);
      host.secrets.set('HUB_TOKEN', 'hf_canary');
      assert.equal((await host.post(...ask('tiny'))).status, 200);
      const asked = hub.requests.length;
      assert.ok(asked > 0);
      assert.ok(hub.requests.every(({ headers }: Json) => headers.authorization === 'Bearer hf_canary'));
      await host.settled();
      await using again = await modelHost({ models: { tiny: entry } }, { parts: { blobs: host.blobs } });
      assert.equal((await again.post(...ask('tiny'))).status, 200);
      const weights = hub.requests.slice(asked).filter(({ url }: Json) => url.includes('safetensors'));
      assert.deepEqual(weights, []);
    } finally {
      await hub.close();
    }
  });
});

describe('/v1/models', () => {
  test('lists what the key may use, and tells of one by its name, also with a slash', async () => {
    const models = { tiny, 'test/slash': tiny, draw: { task: 'digits', run: 'local' } };
    await using host = await modelHost({ models });
    const all = await (await host.call('GET', '/v1/models')).json();
    assert.deepEqual(
      all.data.map(({ id, task, run }: Json) => [id, task, run]),
      [
        ['tiny', 'embed', 'local'],
        ['test/slash', 'embed', 'local'],
        ['draw', 'digits', 'local'],
      ],
    );
    assert.equal(all.data[0].dimensions, undefined);
    await host.post(...ask('tiny'));
    const one = await (await host.call('GET', '/v1/models/tiny')).json();
    assert.deepEqual([one.object, one.dimensions, one.max_items], ['model', 32, 256]);
    assert.match(one.digest, /^[0-9a-f]{64}$/);
    for (const path of ['/v1/models/test/slash', '/v1/models/test%2Fslash'])
      assert.equal((await (await host.call('GET', path)).json()).id, 'test/slash');
    const key = await keyFor(host, { models: ['draw'] });
    const own = await (await host.call('GET', '/v1/models', { key })).json();
    assert.deepEqual(
      own.data.map(({ id }: Json) => id),
      ['draw'],
    );
    assert.equal((await host.call('GET', '/v1/models/tiny', { key })).status, 404);
  });
});

describe('models.jsonc', () => {
  test('the file of this repository is valid', () => {
    const config = readConfig(readFileSync(`${ROOT}/gateway/models.jsonc`, 'utf8'));
    assert.ok(Object.keys(config.models).length > 0);
  });

  const embed = '"task": "embed", "run": "local"';
  const cases: [string, string, RegExp][] = [
    ['no source', `{"models": {"a": {${embed}}}}`, /models\.a\.source: is missing/],
    [
      'an unknown field',
      `{"models": {"a": {${embed}, "source": "x/y", "sauce": 1}}}`,
      /models\.a\.sauce: unknown field/,
    ],
    ['another run', '{"models": {"a": {"task": "embed", "run": "remote"}}}', /models\.a\.run/],
    ['a local route', '{"models": {"a": {"task": "route", "run": "local", "source": "x"}}}', /a route is a head/],
    [
      'no such upstream',
      '{"models": {"a": {"task": "embed", "run": "upstream", "upstream": "b"}}}',
      /no upstream "b"; there are none/,
    ],
    [
      'no such fallback',
      `{"models": {"a": {${embed}, "source": "x", "fallback": "b"}}, "upstreams": {}}`,
      /fallback: no upstream "b"/,
    ],
    [
      'a kind that cannot do the task',
      '{"models": {"a": {"task": "classify", "run": "upstream", "upstream": "b"}}, "upstreams": {"b": {"kind": "openai", "url": "https://b.example/v1"}}}',
      /kind openai cannot do classify/,
    ],
    [
      'http to the world',
      '{"models": {}, "upstreams": {"b": {"kind": "openai", "url": "http://b.example/v1"}}}',
      /https/,
    ],
    [
      'a user in the address',
      '{"models": {}, "upstreams": {"b": {"kind": "openai", "url": "https://u:p@b.example"}}}',
      /without a user/,
    ],
    ['neither url nor service', '{"models": {}, "upstreams": {"b": {"kind": "openai"}}}', /either url or service/],
    ['no JSON', '{"models": {', /JSON/],
  ];
  for (const [name, jsonc, message] of cases) test(name, () => assert.throws(() => readConfig(jsonc), message));
});

describe('slices', () => {
  test('runs have at most so many tokens, and a longer text is by itself', () => {
    assert.deepEqual(
      slices([100, 100, 100, 300, 10], 256).map(({ start, end }) => [start, end]),
      [
        [0, 2],
        [2, 3],
        [3, 4],
        [4, 5],
      ],
    );
    assert.deepEqual(slices([], 256), []);
  });

  test('a larger model takes smaller slices', () => {
    assert.equal(sliceTokens(384, 6), 128);
    assert.equal(sliceTokens(768, 6), 32);
    assert.equal(sliceTokens(256, 0), 8192);
  });

  test('a guess of tokens follows the script', () => {
    assert.equal(guessTokens('a'.repeat(400)), 102);
    assert.equal(guessTokens('語'.repeat(100)), 102);
    assert.equal(guessTokens('x'.repeat(100_000), 256), 256);
  });
});
