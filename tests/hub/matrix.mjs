// Everything that can go wrong between a host and the store, one line per case, for Node and for the browser alike.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { filesOf, golden } from '../package/support/models.mjs';
import { parse, write } from '../package/support/safetensors.mjs';
import { kindOf } from '../package/support/store-keys.mjs';
import { startHub } from './hub.mjs';

export const MODEL = 'test/bert-tiny-mean';
const FOLDER = fileURLToPath(new URL('../goldens/bert-tiny-mean', import.meta.url));
export const FILES = filesOf(FOLDER);
const WEIGHTS = 'model.safetensors';
const SIZE = readFileSync(path.join(FOLDER, WEIGHTS)).length;
const HALF = SIZE >> 1;
/** The weights come in two ranges, and this is in the second. */
const LATE = 80_000;

const CASES = golden('bert-tiny-mean').cases.slice(1, 4);
export const TEXTS = CASES.map(({ text }) => text);

/** The milliseconds without a byte after which a connection is given up; a download fails after three times as long. */
export const TIMEOUT = 400;

/** No case may take longer: four tries that wait for an answer, the waits between them, and a slow machine. */
const BOUND = 12_000;

/** The headers that browsers show to a page of another origin only if the host exposes them. */
const EXPOSED = { 'Access-Control-Expose-Headers': 'Content-Encoding, ETag, Content-Range' };
const BUCKET = { api: false };
const MUTE = { api: false, etag: false, length: false };

/** Another model of the same shape, so that a mixture of both would load. */
export const OTHER = { ...FILES, [WEIGHTS]: cleared('encoder.layer.1.output.dense.weight') };

const weights = (fault, value, more) => [{ file: WEIGHTS, fault, value, ...more }];
const every = (file, value, headers) => [{ file, fault: 'status', value, headers }];
const once = { times: 1 };
const second = { skip: 1, times: 1 };
/** All answers after the first: on a slow machine the client may give up on one of them and ask again. */
const later = { skip: 1 };
/** The branch moves when the config is asked for, so after its commit was. */
const pushed = (files, options) => (hub) => [
  { file: 'config.json', fault: 'do', value: () => hub.push(MODEL, files, options), times: 1 },
];

const CHANGED = ['INTEGRITY'];
const UNREACHED = ['FETCH_FAILED'];
const WRONG = ['INTEGRITY', 'INVALID_WEIGHTS'];
const CUT = ['FETCH_FAILED', 'INTEGRITY', 'INVALID_WEIGHTS'];

/**
 * The cases: the behaviour of the host, and the outcome: 'loads', or the codes of which the error has one.
 * `faults` may be a function of the hub and of a second host; `afterwards` checks both at the end.
 */
export const cases = [
  // Hosts without faults.
  { what: 'nothing goes wrong', outcome: 'loads', verified: 'sha256' },
  { what: 'the tree has a page for every two files', traits: { page: 2 }, outcome: 'loads', verified: 'sha256' },
  { what: 'bytes come slowly, but they come', faults: weights('drip', 60_000), outcome: 'loads', verified: 'sha256' },

  // Answers that are none.
  { what: '401 to everything', faults: every(undefined, 401), outcome: UNREACHED, says: /401/ },
  { what: '403 to everything', faults: every(undefined, 403), outcome: UNREACHED, says: /403/ },
  { what: '404 to everything', faults: every(undefined, 404), outcome: UNREACHED },
  { what: '500 to everything', faults: every(undefined, 500), outcome: UNREACHED, says: /500/ },
  { what: '503 to everything', faults: every(undefined, 503), outcome: UNREACHED, says: /503/ },
  { what: '429 to everything', faults: every(undefined, 429), outcome: UNREACHED, says: /429/ },
  { what: '401 for the weights', faults: every(WEIGHTS, 401), outcome: UNREACHED, says: /model\.safetensors.*401/ },
  { what: '403 for the weights', faults: every(WEIGHTS, 403), outcome: UNREACHED, says: /model\.safetensors.*403/ },
  { what: '404 for the weights', faults: every(WEIGHTS, 404), outcome: UNREACHED, says: /model\.safetensors/ },
  {
    what: '500 for the tokenizer',
    faults: every('tokenizer.json', 500),
    outcome: UNREACHED,
    says: /tokenizer\.json.*500/,
  },
  {
    what: '404 for a pooling config that the tree lists',
    faults: every('1_Pooling/config.json', 404),
    outcome: UNREACHED,
    says: /1_Pooling/,
  },
  {
    what: '503 once for each file',
    faults: Object.keys(FILES).flatMap((file) => weights('status', 503, { file, ...once })),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: '500 once for the commit and for the tree',
    faults: ['revision', 'tree'].flatMap((file) => weights('status', 500, { file, ...once })),
    outcome: 'loads',
    verified: 'sha256',
  },
  { what: '429 once', faults: weights('status', 429, once), outcome: 'loads', verified: 'sha256' },
  {
    what: '429 once, with a second to wait',
    faults: weights('status', 429, {
      ...once,
      headers: { 'Retry-After': '1', 'Access-Control-Expose-Headers': 'Retry-After' },
    }),
    outcome: 'loads',
    atLeast: 1000,
  },
  {
    what: '503 with an hour to wait',
    faults: every(WEIGHTS, 503, { 'Retry-After': '3600', 'Access-Control-Expose-Headers': 'Retry-After' }),
    outcome: UNREACHED,
    says: /503/,
    atMost: 3000,
  },
  {
    what: '503 with a date to wait for',
    faults: weights('status', 503, { ...once, headers: { 'Retry-After': 'Fri, 31 Dec 2100 23:59:59 GMT' } }),
    outcome: 'loads',
  },
  { what: 'a web page for everything', faults: [{ fault: 'html' }], outcome: UNREACHED, says: /HTML/ },
  { what: 'a web page for the weights', faults: weights('html'), outcome: UNREACHED, says: /model\.safetensors.*HTML/ },
  {
    what: 'a web page for the tokenizer',
    faults: weights('html', undefined, { file: 'tokenizer.json' }),
    outcome: UNREACHED,
    says: /tokenizer\.json.*HTML/,
  },
  {
    what: 'redirects that go round and round',
    faults: weights('redirect', ''),
    outcome: UNREACHED,
    says: /model\.safetensors/,
  },
  {
    what: 'a redirect of every file to another origin',
    token: 'hf_secret',
    faults: (_, other) => [{ file: /\./, fault: 'redirect', value: new URL(other.url).origin }],
    outcome: 'loads',
    verified: 'sha256',
    afterwards(hub, other) {
      assert.ok(hub.requests.some(({ headers }) => headers.authorization === 'Bearer hf_secret'));
      assert.ok(other.requests.some(({ url }) => url.endsWith(WEIGHTS)));
      for (const { headers } of other.requests)
        assert.equal(headers.authorization, undefined, 'the token went to another origin');
      for (const { url } of [...hub.requests, ...other.requests]) assert.doesNotMatch(url, /secret/);
    },
  },

  // Connections that break or hang.
  { what: 'every connection is reset', faults: [{ fault: 'reset' }], outcome: UNREACHED },
  {
    what: 'a reset in the middle of the weights, once',
    faults: weights('reset', HALF, once),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'a reset in the middle of the weights, always',
    faults: weights('reset', HALF),
    outcome: UNREACHED,
    says: /model\.safetensors/,
  },
  {
    what: 'a reset in the second range, always',
    faults: weights('reset', LATE),
    outcome: UNREACHED,
    says: /model\.safetensors/,
  },
  {
    what: 'the weights are cut off, once',
    faults: weights('truncate', HALF, once),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'the weights are cut off, always',
    faults: weights('truncate', LATE),
    outcome: UNREACHED,
    says: /model\.safetensors/,
  },
  {
    what: 'the tokenizer is cut off, once',
    faults: weights('truncate', 500, { file: 'tokenizer.json', ...once }),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'the tokenizer is cut off, always',
    faults: weights('truncate', 500, { file: 'tokenizer.json' }),
    outcome: UNREACHED,
    says: /tokenizer\.json/,
  },
  { what: 'the host never answers', faults: [{ fault: 'stall' }], outcome: UNREACHED },
  { what: 'the tree never comes', faults: weights('stall', 0, { file: 'tree' }), outcome: UNREACHED },
  { what: 'the weights never begin', faults: weights('stall', 0), outcome: UNREACHED, says: /model\.safetensors/ },
  {
    what: 'the weights stop in the middle, once',
    faults: weights('stall', HALF, once),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'the weights stop in the middle, always',
    faults: weights('stall', LATE),
    outcome: UNREACHED,
    says: /model\.safetensors/,
  },
  {
    what: 'the tokenizer stops in the middle, once',
    faults: weights('stall', 500, { file: 'tokenizer.json', ...once }),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'the tokenizer stops in the middle, always',
    faults: weights('stall', 500, { file: 'tokenizer.json' }),
    outcome: UNREACHED,
    says: /tokenizer\.json/,
  },

  // Lengths that are wrong.
  { what: 'the weights are empty', faults: weights('body', ''), outcome: CUT },
  {
    what: 'the config is empty',
    faults: weights('body', '', { file: 'config.json' }),
    outcome: CUT,
    says: /config\.json/,
  },
  {
    what: 'the weights are shorter than listed',
    faults: weights('short', SIZE - 4),
    outcome: CUT,
    says: /model\.safetensors/,
  },
  {
    what: 'the tokenizer is shorter than listed',
    faults: weights('short', 500, { file: 'tokenizer.json' }),
    outcome: CUT,
    says: /tokenizer\.json/,
  },
  {
    what: 'the weights are longer than listed',
    faults: weights('long', 1000),
    outcome: WRONG,
    says: /model\.safetensors/,
  },
  {
    what: 'the tokenizer is longer than listed',
    faults: weights('long', 1000, { file: 'tokenizer.json' }),
    outcome: WRONG,
    says: /tokenizer\.json/,
  },
  { what: 'Content-Length is too long', faults: weights('length', 100), outcome: ['loads', ...CUT] },
  { what: 'Content-Length is too short, once', faults: weights('length', -100, once), outcome: ['loads', ...CUT] },
  {
    what: 'Content-Length is too short for the tokenizer',
    faults: weights('length', -100, { file: 'tokenizer.json' }),
    outcome: CUT,
    says: /tokenizer\.json/,
  },

  // Compressed on the way.
  {
    what: 'the weights come compressed, and nothing says so',
    faults: weights('gzip'),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'the weights come compressed, and the header says so',
    faults: weights('gzip', 0, { headers: EXPOSED }),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'every file comes compressed, and nothing says so',
    faults: [{ file: /\./, fault: 'gzip' }],
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'every file comes compressed, and the header says so',
    faults: [{ file: /\./, fault: 'gzip', headers: EXPOSED }],
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'a bucket compresses every file',
    traits: BUCKET,
    faults: [{ file: /\./, fault: 'gzip' }],
    outcome: 'loads',
    verified: 'length',
  },

  // Ranges that are wrong.
  { what: 'the host knows no ranges', traits: { ranges: false }, outcome: 'loads', verified: 'sha256' },
  {
    what: 'the host knows no ranges, and breaks off once',
    traits: { ranges: false },
    faults: weights('reset', HALF, once),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'the second range comes as the whole file',
    faults: weights('unranged', 0, second),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'the second range begins later, once',
    faults: weights('shift', 64, second),
    outcome: 'loads',
    verified: 'sha256',
  },
  { what: 'every range begins later', faults: weights('shift', 64), outcome: UNREACHED, says: /model\.safetensors/ },
  {
    what: 'the second range begins earlier',
    faults: weights('shift', -64, second),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'the second range has other bytes than it says',
    faults: weights('lie', -64, later),
    outcome: WRONG,
    says: /model\.safetensors/,
  },

  // Bytes that are wrong.
  {
    what: 'one bit in the front of the weights is flipped',
    faults: weights('flip', 30_001),
    outcome: WRONG,
    says: /model\.safetensors/,
  },
  {
    what: 'the last bit of the weights is flipped',
    faults: weights('flip', SIZE - 1),
    outcome: CHANGED,
    says: /model\.safetensors.*sha256/,
  },
  { what: 'one bit of the header is flipped', faults: weights('flip', 20), outcome: WRONG, says: /model\.safetensors/ },
  {
    what: 'one bit of the tokenizer is flipped',
    faults: weights('flip', 300, { file: 'tokenizer.json' }),
    outcome: CHANGED,
    says: /tokenizer\.json/,
  },
  {
    what: 'one bit of the config is flipped',
    faults: weights('flip', 100, { file: 'config.json' }),
    outcome: CHANGED,
    says: /config\.json/,
  },
  {
    what: 'noise in place of the weights',
    faults: weights('body', Buffer.alloc(SIZE, 0xff)),
    outcome: WRONG,
    says: /model\.safetensors/,
  },

  // A host that changes under the download.
  { what: 'the ETag changes between two ranges', faults: weights('etag', 'x', second), outcome: ['loads', ...CHANGED] },
  {
    what: 'ETag and bytes change between two ranges',
    faults: weights('other', 'x', later),
    outcome: CHANGED,
    says: /model\.safetensors/,
  },
  {
    what: 'ETag and bytes change after a break',
    faults: [...weights('reset', LATE, second), ...weights('other', 'x', later)],
    outcome: CHANGED,
    says: /model\.safetensors/,
  },
  {
    what: 'the branch moves, and the commit before can be had',
    faults: pushed(OTHER),
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'the branch moves to the same files, and the commit before is gone',
    faults: pushed({ ...FILES, 'README.md': 'new' }, { gone: true }),
    outcome: ['loads', ...UNREACHED],
  },

  // Hosts that are no hub.
  { what: 'a plain bucket', traits: BUCKET, outcome: 'loads', verified: 'length' },
  {
    what: 'a bucket that says 403 to what it does not have',
    traits: { ...BUCKET, missing: 403 },
    outcome: 'loads',
    verified: 'length',
  },
  { what: 'a bucket without ETags and lengths', traits: MUTE, outcome: 'loads', verified: 'length' },
  {
    what: 'a bucket without ETags, lengths and ranges',
    traits: { ...MUTE, ranges: false },
    outcome: 'loads',
    verified: 'length',
  },
  {
    what: 'a bucket whose headers other origins cannot see',
    traits: { ...BUCKET, expose: false },
    outcome: 'loads',
    verified: 'length',
  },
  {
    what: 'a hub whose headers other origins cannot see',
    traits: { expose: false },
    outcome: 'loads',
    verified: 'sha256',
  },
  {
    what: 'a bucket whose headers other origins cannot see, and that breaks off once',
    traits: { ...BUCKET, expose: false },
    faults: weights('reset', LATE, second),
    outcome: 'loads',
    verified: 'length',
  },
  {
    what: 'a bucket that breaks off once',
    traits: BUCKET,
    faults: weights('reset', LATE, second),
    outcome: 'loads',
    verified: 'length',
  },
  {
    what: 'a bucket without lengths that breaks off once',
    traits: MUTE,
    faults: weights('reset', HALF, once),
    outcome: 'loads',
    verified: 'length',
  },
  {
    what: 'a bucket without lengths that breaks off always',
    traits: MUTE,
    faults: weights('reset', LATE),
    outcome: UNREACHED,
    says: /model\.safetensors/,
  },
  {
    what: 'a bucket that stops in the middle, always',
    traits: BUCKET,
    faults: weights('stall', LATE),
    outcome: UNREACHED,
    says: /model\.safetensors/,
  },
  {
    what: 'a bucket whose weights change between two ranges',
    traits: BUCKET,
    faults: weights('other', 'x', later),
    outcome: CHANGED,
    says: /model\.safetensors/,
  },
  {
    what: 'a bucket whose weights are too short',
    traits: BUCKET,
    faults: weights('short', SIZE - 4),
    outcome: CUT,
    says: /model\.safetensors/,
  },
];

let checked = 0;

/**
 * One case from its first load to the last.
 * @param {object} one of `cases`
 * @param {object} place where it runs
 * @param {(options: object) => Promise<{ vectors?: number[][], verified?: string, error?: { name: string, code: string, message: string } }>} place.visit loads and embeds TEXTS
 * @param {(host: string) => Promise<string[]>} place.keys what the store holds of a host
 */
export async function check(
  { what, faults = [], traits, token, outcome, says, verified, atLeast = 0, atMost = BOUND, afterwards },
  { visit, keys },
) {
  // A port may come again, and with it what an earlier case has stored.
  checked += 1;
  const prefix = `/case-${checked}`;
  const hub = await startHub({ models: { [MODEL]: FILES }, traits, prefix });
  const other = await startHub({ models: { [MODEL]: FILES }, prefix });
  const options = { host: hub.url, timeout: TIMEOUT, dtype: 'f32', device: 'cpu', token };
  try {
    hub.setFaults(typeof faults === 'function' ? faults(hub, other) : faults);
    const started = performance.now();
    const first = await visit(options);
    const took = performance.now() - started;
    const story = `${what}: ${first.error ? `${first.error.code}: ${first.error.message}` : 'it loaded'} after ${Math.round(took)} ms`;
    assert.ok(took >= atLeast && took <= atMost, story);
    assert.ok([outcome].flat().includes(first.error ? first.error.code : 'loads'), story);
    if (first.error) {
      assert.equal(first.error.name, 'PilotlightError', story);
      if (says) assert.match(first.error.message, says, story);
      const left = (await keys(hub.url)).filter((key) => kindOf(key) === 'manifest');
      assert.deepEqual(left, [], `${story}, and left what can be read`);
    } else {
      near(first.vectors, story);
      if (verified) assert.equal(first.verified, verified, story);
    }

    hub.setFaults([]);
    const later = await visit(options);
    assert.equal(later.error, undefined, `${story}; the load after it: ${later.error?.code} ${later.error?.message}`);
    near(later.vectors, `${story}; the load after it`);

    hub.setFaults([{ fault: 'reset' }]);
    const offline = await visit(options);
    assert.equal(
      offline.error,
      undefined,
      `${story}; without the host: ${offline.error?.code} ${offline.error?.message}`,
    );
    near(offline.vectors, `${story}; without the host`);
    afterwards?.(hub, other);
  } finally {
    await Promise.all([hub.close(), other.close()]);
  }
}

/** The weights with zeros in one tensor. */
function cleared(tensor) {
  const { header, data } = parse(FILES[WEIGHTS]);
  return write({ header, data: data.slice().fill(0, ...header[tensor].data_offsets) });
}

export function near(vectors, story) {
  for (const [row, { embedding }] of CASES.entries())
    for (const [i, value] of embedding.entries())
      assert.ok(Math.abs(vectors[row][i] - value) <= 1e-4, `${story}: '${TEXTS[row]}' has another vector`);
}
