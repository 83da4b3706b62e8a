/**
 * Models from buckets of S3, Google Cloud Storage and Azure, on their simulators: public and private ones, by ranges, with signatures in headers and
 * in queries. `docs/edge.md` has the table of what each wants.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PilotlightError, TextEmbedder } from 'pilotlight';
import { S3Blobs } from '../src/parts/s3.ts';
import { type AzureServer, sas, startAzure } from './support/azure.ts';
import { type BucketServer, startBucket } from './support/bucket.ts';
import { type GcsServer, startGcs } from './support/gcs.ts';
import { watch } from './support/logs.ts';
import { embedderOf, filesOf, type Json, modelHost, tinyFolder } from './support/models.ts';
import { lacking } from './support/needs.ts';
import { type Relay, startRelay } from './support/relay.ts';

const MODEL = 'test/bert-tiny-mean';
const FOLDER = tinyFolder('bert-tiny-mean');
const FILES = Object.fromEntries(
  Object.entries(filesOf(FOLDER)).filter(([name]) => !/^(expected|hidden_states)/.test(name)),
);
const TEXTS = ['The quick brown fox', 'naïve café 日本語'];
const path = (name: string) => `${MODEL}/resolve/main/${name}`;

let expected: Float32Array;
before(async () => {
  const embedder = await embedderOf(FOLDER, MODEL);
  expected = (await embedder.embed(TEXTS)).data as Float32Array;
  embedder.dispose();
});

/** Loads the model, and compares its vectors with those of the files in the folder. */
async function loads(options: object): Promise<void> {
  const embedder = await TextEmbedder.load(MODEL, { device: 'cpu', store: false, ...options });
  assert.deepEqual((await embedder.embed(TEXTS)).data, expected);
  embedder.dispose();
}

/** The error of a load that fails, after a check that no value is in it or in what is logged. */
async function failureOf(options: object, secrets: string[] = []): Promise<PilotlightError> {
  for (const secret of secrets) watch(secret);
  const events: unknown[] = [];
  const onProgress = (event: unknown) => events.push(event);
  const error = await TextEmbedder.load(MODEL, { device: 'cpu', store: false, onProgress, ...options }).then(
    () => assert.fail('the model was loaded'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof PilotlightError, String(error));
  const { message, stack, cause } = error;
  const said = [message, stack, String(cause), JSON.stringify(error), JSON.stringify(events)].join('\n');
  for (const secret of secrets) assert.ok(!said.includes(secret), `the error has ${secret}: ${said}`);
  return error;
}

/** Checks that the weights come by ranges, and that a cut connection is resumed at the byte where it was cut. */
async function resumes(relay: Relay, options: object, hasEtags = true): Promise<void> {
  relay.asked.length = 0;
  let cuts = 0;
  relay.cut = ({ path, headers }) => {
    if (!path.includes('model.safetensors') || headers.range === 'bytes=0-61439' || cuts > 0) return undefined;
    cuts += 1;
    return 10_000;
  };
  try {
    await loads(options);
  } finally {
    relay.cut = undefined;
  }
  assert.equal(cuts, 1);
  const weights = relay.asked.filter(({ path }) => path.includes('model.safetensors'));
  assert.deepEqual(
    weights.map(({ status, headers }) => [status, headers.range]),
    [
      [206, 'bytes=0-61439'],
      [206, 'bytes=61440-'],
      [206, 'bytes=71440-'],
    ],
  );
  const etags = new Set(weights.map(({ answered }) => answered.etag));
  assert.deepEqual([etags.size, etags.has(undefined)], [1, !hasEtags]);
}

/** Checks that weights which are other ones after a cut are not joined to those before it. */
async function refusesChanged(relay: Relay, options: object, put: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  const weights = FILES['model.safetensors'] as Uint8Array;
  relay.cut = async ({ path, headers }) => {
    if (!path.includes('model.safetensors') || headers.range === 'bytes=0-61439') return undefined;
    relay.cut = undefined;
    await put(weights.map((byte, at) => (at > 100_000 ? byte ^ 1 : byte)));
    return 10_000;
  };
  const error = await failureOf(options);
  assert.equal(error.code, 'INTEGRITY', error.message);
  await put(weights);
}

/** Checks that a page of one origin may ask for ranges and read the headers of the answer, and one of another may not. */
async function mayRead(address: string): Promise<void> {
  const asking = (origin: string) => ({
    origin,
    'access-control-request-method': 'GET',
    'access-control-request-headers': 'range',
  });
  const preflight = async (origin: string) => {
    const response = await fetch(address, { method: 'OPTIONS', headers: asking(origin) });
    await response.body?.cancel();
    return response.ok ? response.headers.get('access-control-allow-origin') : null;
  };
  assert.equal(await preflight('https://app.example'), 'https://app.example');
  assert.equal(await preflight('https://evil.example'), null);
  const response = await fetch(address, { headers: { origin: 'https://app.example', range: 'bytes=0-99' } });
  assert.equal((await response.arrayBuffer()).byteLength, 100);
  assert.equal(response.headers.get('access-control-allow-origin'), 'https://app.example');
  const exposed = (response.headers.get('access-control-expose-headers') ?? '').toLowerCase();
  for (const name of ['etag', 'content-range', 'content-length']) assert.ok(exposed.includes(name), exposed);
}

describe('S3, by moto', { skip: lacking('moto') }, () => {
  let server: BucketServer;
  let relay: Relay;
  let bucket: string;
  /** The address of the bucket behind the relay. */
  let host: string;

  const fill = async (acl: string) => {
    const { bucket: made } = await server.newBucket();
    for (const [name, bytes] of Object.entries(FILES)) await server.put(made, path(name), bytes, acl);
    return made;
  };
  const behind = (address: string) => address.replace(server.address, relay.url);
  before(async () => {
    server = await startBucket();
    relay = await startRelay(server.address);
    bucket = await fill('public-read');
    host = behind(bucket);
  });
  after(async () => {
    await relay?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  test('a public bucket is a host: by ranges, and resumed where a connection breaks', () => resumes(relay, { host }));

  test('an object that was replaced in between is told by its ETag', () =>
    refusesChanged(relay, { host }, (bytes) => server.put(bucket, path('model.safetensors'), bytes, 'public-read')));

  test('without a signature, a private one is an error with the host and 403', async () => {
    const closed = behind(await fill('private'));
    const error = await failureOf({ host: closed });
    assert.deepEqual([error.code, error.status], ['FETCH_FAILED', 403]);
    assert.ok(error.message.includes(new URL(relay.url).host), error.message);
  });

  test('each file by an address that was signed for it', async () => {
    const closed = behind(await fill('private'));
    const sign = (name: string) => server.presign(`${closed}/${path(name)}`);
    const signed = async (name: string) => [name, await fetch(await sign(name))] as const;
    relay.asked.length = 0;
    await loads({ files: Object.fromEntries(await Promise.all(Object.keys(FILES).map(signed))) });
    assert.equal(relay.asked.length, Object.keys(FILES).length);
    assert.ok(relay.asked.every(({ path, status }) => status === 200 && path.includes('X-Amz-Signature=')));
  });

  test('an address whose signature is refused is an error with the host and 403, without the signature', async () => {
    const closed = behind(await fill('private'));
    const address = await server.presign(`${closed}/${path('config.json')}`);
    const signature = new URL(address).searchParams.get('X-Amz-Signature') ?? '';
    assert.match(signature, /^[0-9a-f]{64}$/);
    // The simulator takes any signature.
    relay.refuse = () => 403;
    try {
      const error = await failureOf({ files: { ...FILES, 'config.json': await fetch(address) } }, [signature]);
      assert.deepEqual([error.code, error.status, error.file], ['FETCH_FAILED', 403, 'config.json']);
      assert.ok(error.message.includes(new URL(relay.url).host), error.message);
    } finally {
      relay.refuse = undefined;
    }
  });

  test('the gateway signs each request to a private bucket in its headers', async () => {
    const options = await server.newBucket();
    for (const [name, bytes] of Object.entries(FILES)) {
      await server.put(options.bucket, `models/${path(name)}`, bytes);
    }
    const blobs = new S3Blobs({ ...options, bucket: behind(options.bucket) });
    const models = { tiny: { task: 'embed', run: 'local', source: MODEL, memory_mb: 16 } };
    relay.asked.length = 0;
    await using gateway = await modelHost({ models }, { settings: { MODEL_PATH: 'blobs:models' }, parts: { blobs } });
    const { status, json } = await gateway.post('/v1/embeddings', { model: 'tiny', input: TEXTS });
    assert.equal(status, 200, JSON.stringify(json));
    assert.ok(relay.asked.length > 0);
    assert.ok(relay.asked.every(({ headers }) => /^AWS4-HMAC-SHA256 Credential=/.test(headers.authorization ?? '')));
  });
});

describe('Google Cloud Storage, by gcp-storage-emulator', { skip: lacking('gcs') }, () => {
  let server: GcsServer;
  let relay: Relay;
  let host: string;
  const TOKEN = 'ya29.a-token-of-a-test';

  before(async () => {
    server = await startGcs();
    relay = await startRelay(server.address);
    await server.newBucket('models');
    for (const [name, bytes] of Object.entries(FILES)) await server.put('models', path(name), bytes);
    host = `${relay.url}/models`;
  });
  after(async () => {
    await relay?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  test('a public bucket is a host: by ranges, and resumed where a connection breaks', () =>
    resumes(relay, { host }, false));

  test('a private one takes the token of an account in a header of each request', async () => {
    // The simulator takes anybody. Google answers 401 where there is no valid token.
    relay.refuse = ({ headers }) => (headers.authorization === `Bearer ${TOKEN}` ? undefined : 401);
    relay.asked.length = 0;
    try {
      await loads({ host, token: TOKEN });
      assert.ok(relay.asked.every(({ path, headers }) => headers.authorization && !path.includes(TOKEN)));
      for (const options of [{ host }, { host, token: 'ya29.another-token-of-a-test' }]) {
        const error = await failureOf(options, ['another-token-of-a-test']);
        assert.deepEqual([error.code, error.status], ['FETCH_FAILED', 401]);
        assert.ok(error.message.includes(host), error.message);
      }
    } finally {
      relay.refuse = undefined;
    }
  });
});

describe('Azure, by azurite', { skip: lacking('azurite') }, () => {
  let server: AzureServer;
  let relay: Relay;
  let container: string;
  const signatureOf = (query: string) => new URLSearchParams(query).get('sig') ?? '';

  before(async () => {
    server = await startAzure();
    relay = await startRelay(new URL(server.address).origin);
    await server.newContainer('models');
    for (const [name, bytes] of Object.entries(FILES)) await server.put('models', path(name), bytes);
    container = `${server.address.replace(new URL(server.address).origin, relay.url)}/models`;
  });
  after(async () => {
    await relay?.[Symbol.asyncDispose]();
    await server?.stop();
  });

  test('a signature in the query of the host is sent with every request, by ranges, and when one is resumed', async () => {
    const query = sas('r');
    await resumes(relay, { host: `${container}?${query}` });
    assert.ok(relay.asked.length > 5);
    assert.ok(relay.asked.every(({ path }) => path.endsWith(query)));
  });

  test('an object that was replaced in between is told by its ETag', () =>
    refusesChanged(relay, { host: `${container}?${sas('r')}` }, (bytes) =>
      server.put('models', path('model.safetensors'), bytes),
    ));

  test('without a signature, or with a wrong one, it is an error with the host, and without the signature', async () => {
    const none = await failureOf({ host: container });
    assert.ok(none.message.includes(new URL(relay.url).host), none.message);
    const wrong = sas('r', Buffer.from('another key').toString('base64'));
    const error = await failureOf({ host: `${container}?${wrong}` }, [
      signatureOf(wrong),
      encodeURIComponent(signatureOf(wrong)),
    ]);
    assert.deepEqual([error.code, error.status], ['FETCH_FAILED', 403]);
    assert.ok(error.message.includes(container), error.message);
  });

  test('the pages of an origin that its rules name may read it, with the headers that the package reads', async () => {
    await server.allow('https://app.example');
    const address = `${container}/${path('model.safetensors')}?${sas('r')}`;
    await mayRead(address);
  });

  test('a host that cannot be reached is an error without the signature', async () => {
    const query = sas('r');
    const secrets = [signatureOf(query), encodeURIComponent(signatureOf(query))];
    const hosts = [`http://127.0.0.1:1/container?${query}`, `http://[/container?${query}`];
    for (const { code, message } of await Promise.all(hosts.map((host) => failureOf({ host }, secrets))))
      assert.equal(code, 'FETCH_FAILED', message);
  });

  test('what was stored is found again by another signature, and no key of the store has one', async () => {
    const rows = new Map<string, Uint8Array>();
    const store = {
      get: async (key: string) => rows.get(key),
      put: async (key: string, bytes: Uint8Array) => void rows.set(key, bytes.slice()),
      delete: async (key: string) => void rows.delete(key),
      keys: async () => [...rows.keys()],
    };
    const [first, second] = [sas('r'), sas('rc')];
    await loads({ host: `${container}?${first}`, store });
    assert.ok(rows.size > 3);
    const all = [...rows].flatMap(([key, bytes]) => [key, Buffer.from(bytes).toString('latin1')]).join('\n');
    assert.ok(!all.includes(signatureOf(first)) && !all.includes(encodeURIComponent(signatureOf(first))));
    relay.asked.length = 0;
    await loads({ host: `${container}?${second}`, store });
    assert.deepEqual(
      relay.asked.filter(({ path, method }) => method === 'GET' && path.includes('model.safetensors')),
      [],
    );
  });

  test('the gateway takes it in MODEL_PATH, and neither its answers nor its lines have it', async () => {
    const models = { tiny: { task: 'embed', run: 'local', source: MODEL, memory_mb: 16 } };
    const ask = async (query: string) => {
      for (const value of [signatureOf(query), encodeURIComponent(signatureOf(query))]) watch(value);
      await using gateway = await modelHost({ models }, { settings: { MODEL_PATH: `${container}?${query}` } });
      const answer = await gateway.post('/v1/embeddings', { model: 'tiny', input: TEXTS });
      const listed = await (await gateway.call('GET', '/v1/models')).text();
      assert.ok(!JSON.stringify([answer.json, listed]).includes(signatureOf(query)));
      return answer;
    };
    assert.equal((await ask(sas('r'))).status, 200);
    const refused = await ask(sas('r', Buffer.from('another key').toString('base64')));
    assert.deepEqual([refused.status, (refused.json as Json).error.code], [503, 'model_not_loaded']);
  });
});
