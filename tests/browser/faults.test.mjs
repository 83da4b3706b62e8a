// The table of tests/hub/matrix.mjs in Chromium, with IndexedDB; and a table of what can go wrong with IndexedDB itself.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startHub } from '../hub/hub.mjs';
import { cases, check, FILES, MODEL, near, TEXTS } from '../hub/matrix.mjs';
import { FIGURES, launch, minilm, startBench, until } from './harness.mjs';

let browser;
let bench;
before(async () => {
  browser = await launch();
  bench = await startBench({});
});
after(async () => {
  await browser?.close();
  await bench?.close();
});

/** Loads and embeds in a page; what is thrown comes back as `error`. */
const visit = (page, options, model = MODEL) =>
  page.evaluate(
    async ({ model, texts, options }) => {
      let verified;
      try {
        const { TextEmbedder } = await import('/package/web.js');
        const embedder = await TextEmbedder.load(model, {
          ...options,
          onProgress: (event) => (verified = event.verified),
        });
        const { data, dims } = await embedder.embed(texts);
        embedder.dispose();
        return {
          verified,
          vectors: texts.map((_, row) => Array.from(data.subarray(row * dims[1], (row + 1) * dims[1]))),
        };
      } catch ({ name, code, message, needed, available }) {
        return { error: { name, code, message, needed, available } };
      }
    },
    { model, texts: TEXTS, options },
  );

/** Every key of the store in which `part` occurs. */
const keys = (page, part) =>
  page.evaluate(async (part) => {
    const done = (request) =>
      new Promise((resolve, reject) =>
        Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }),
      );
    const database = await done(indexedDB.open('pilotlight'));
    const isMade = database.objectStoreNames.contains('bytes');
    const all = isMade ? await done(database.transaction('bytes').objectStore('bytes').getAllKeys()) : [];
    database.close();
    return all.filter((key) => key.includes(part));
  }, part);

/** The cases that load in workers. Starting a worker takes most of the time of a case; `make figures` runs all cases in workers. */
const IN_WORKERS = [
  'nothing goes wrong',
  'bytes come slowly, but they come',
  'the host never answers',
  '429 once, with a second to wait',
  '500 for the tokenizer',
  'a redirect of every file to another origin',
  'a reset in the second range, always',
  'the host knows no ranges',
  'one bit in the front of the weights is flipped',
  'the last bit of the weights is flipped',
  'ETag and bytes change after a break',
  'a hub whose headers other origins cannot see',
  'a bucket that breaks off once',
];

describe('in Chromium', { concurrency: 8 }, () => {
  let page;
  before(async () => {
    // Each case has a host of its own, so one page and one store do for all.
    page = await (await browser.newContext()).newPage();
    await page.goto(bench.url);
    await visit(page, { host: bench.url, store: 'indexeddb', timeout: 100 }); // the database is there from now on
  });
  assert.ok(IN_WORKERS.every((what) => cases.some((one) => one.what === what)));
  for (const one of cases) {
    const worker = FIGURES || IN_WORKERS.includes(one.what) ? 'auto' : false;
    test(one.what, () =>
      check(one, { visit: (options) => visit(page, { worker, ...options }), keys: (host) => keys(page, host) }),
    );
  }
});

/** The faults of a browser, each of which is set up in the page before the load. */
const patches = {
  /** Makes the store full from the n-th put on. */
  full(n) {
    const { put } = IDBObjectStore.prototype;
    let puts = 0;
    IDBObjectStore.prototype.put = function (...row) {
      puts += 1;
      if (puts >= n) throw new DOMException('no room', 'QuotaExceededError');
      return put.apply(this, row);
    };
  },
  /** Aborts the transaction after the put, from the n-th put on, as a browser does when the disk becomes full. */
  aborts(n) {
    const { put } = IDBObjectStore.prototype;
    let puts = 0;
    IDBObjectStore.prototype.put = function (...row) {
      puts += 1;
      const request = put.apply(this, row);
      if (puts >= n) this.transaction.abort();
      return request;
    };
  },
  opens: {
    throws() {
      IDBFactory.prototype.open = () => {
        throw new DOMException('denied', 'SecurityError');
      };
    },
    async fails() {
      const { open } = IDBFactory.prototype;
      const newer = open.call(indexedDB, 'newer', 5);
      await new Promise((resolve) => (newer.onsuccess = resolve));
      IDBFactory.prototype.open = () => open.call(indexedDB, 'newer', 1);
    },
    /** A connection that does not go away blocks an upgrade for ever. */
    async never() {
      const { open } = IDBFactory.prototype;
      const older = open.call(indexedDB, 'older', 1);
      await new Promise((resolve) => (older.onsuccess = resolve));
      window.older = older.result;
      IDBFactory.prototype.open = () => open.call(indexedDB, 'older', 2);
    },
  },
  clock(now) {
    Date.now = () => now;
  },
};

/** Changes the store's rows with `part` in their keys; a byte of each is another one, or the row is gone. */
const tamper = (page, part, how) =>
  page.evaluate(
    async ({ part, how }) => {
      const done = (request) =>
        new Promise((resolve, reject) =>
          Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }),
        );
      const database = await done(indexedDB.open('pilotlight'));
      const objects = database.transaction('bytes', 'readwrite').objectStore('bytes');
      const hit = (await done(objects.getAllKeys())).filter((key) => key.includes(part));
      for (const key of hit) {
        const bytes = await done(objects.get(key));
        bytes[bytes.length >> 1] ^= 1;
        await done(
          how === 'delete'
            ? objects.delete(key)
            : objects.put(how === 'cut' ? bytes.slice(0, bytes.length >> 1) : bytes, key),
        );
      }
      database.close();
      return hit.length;
    },
    { part, how },
  );

const BROKEN_OFF = [{ file: 'model.safetensors', fault: 'reset', value: 80_000 }];
const OTHER_MODEL = 'test/another';

/** A worker for each load takes most of the time; tests/browser/store.test.mjs has the store in workers. */
const WORKER = FIGURES ? 'auto' : false;

/** Runs `work` in a browser context of its own, with its own host and another model that is stored already. */
async function withStore(work) {
  const hub = await startHub({ models: { [MODEL]: FILES, [OTHER_MODEL]: FILES } });
  const context = await browser.newContext();
  const page = await context.newPage();
  const warnings = [];
  page.on('console', (message) => message.type() === 'warning' && warnings.push(message.text()));
  const start = (more, model) =>
    visit(page, { host: hub.url, dtype: 'f32', device: 'cpu', timeout: 5000, worker: WORKER, ...more }, model);
  /** Checks that a load gives the right vectors; `from` names the load in messages. */
  const loads = async (from, more, model) => {
    const { error, vectors } = await start(more, model);
    assert.equal(error, undefined, `${from}: ${error?.code} ${error?.message}`);
    near(vectors, from);
  };
  const offline = async (model, more = {}) => {
    hub.setFaults([{ fault: 'reset' }]);
    await loads('without the host', more, model);
    hub.setFaults([]);
  };
  try {
    await page.goto(bench.url);
    await loads('the other model', {}, OTHER_MODEL);
    await work({ hub, page, warnings, start, loads, offline });
    // The store can be used after any fault.
    await loads('after it');
    await offline();
  } finally {
    await context.close();
    await hub.close();
  }
}

/** Puts of a load of the tiny model: the first, one of each kind of row, and the last; for the figures all. */
const PUTS = FIGURES ? Array.from({ length: 10 }, (_, i) => i + 1) : [1, 3, 6, 10];

const CLOCKS = FIGURES ? [0, -1e15, 4e12, 8.64e15, Number.NaN] : [-1e15, 8.64e15, Number.NaN];
/** Returns the ways in which rows of a kind are changed. They are cut only if they are chunks, whose length is known; `make figures` cuts all kinds. */
const changesOf = (part) => ['delete', 'alter', ...(FIGURES || part === '#chunk/' ? ['cut'] : [])];

/** Rows of [name, the fault in the page, its argument, the options of the load, the outcome]. */
const STORE_CASES = [
  ...PUTS.map((n) => [`the store is full at put ${n}`, patches.full, n, {}, 'QUOTA_EXCEEDED']),
  ...[1, 4, 8].map((n) => [`transactions abort from put ${n} on`, patches.aborts, n, {}, 'INTERNAL']),
  ...Object.entries(patches.opens).flatMap(([how, patch]) => [
    [`the database's opening ${how}`, patch, undefined, {}, 'memory'],
    [
      `the database's opening ${how}, and it was asked for`,
      patch,
      undefined,
      { store: 'indexeddb' },
      'BACKEND_UNAVAILABLE',
    ],
  ]),
  ...CLOCKS.map((now) => [`the clock says ${now}`, patches.clock, now, {}, 'loads']),
];

describe('IndexedDB that misbehaves', { concurrency: 6 }, () => {
  for (const [what, patch, argument, more, outcome] of STORE_CASES) {
    test(what, () =>
      withStore(async ({ page, warnings, start, offline }) => {
        await page.evaluate(patch, argument);
        // The page's database is the one that misbehaves.
        const { error, vectors } = await start({ worker: false, ...more });
        const story = `${what}: ${error ? `${error.code}: ${error.message}` : 'it loaded'}`;
        if (outcome === 'loads' || outcome === 'memory') {
          assert.equal(error, undefined, story);
          near(vectors, story);
        } else {
          assert.equal(error?.code, outcome, story);
          assert.equal(error.name, 'PilotlightError');
          if (outcome === 'QUOTA_EXCEEDED')
            assert.equal(typeof error.needed, 'number', `${story}, needed ${error.needed}`);
        }
        if (outcome === 'memory') {
          assert.equal(warnings.filter((text) => text.includes('IndexedDB')).length, 1, warnings.join());
          await offline(MODEL, { worker: false }); // from memory
          assert.equal(warnings.filter((text) => text.includes('IndexedDB')).length, 1, 'it said so twice');
        }
        await page.reload();
        const kept = (await keys(page, '#manifest/')).map((key) => key.includes(MODEL));
        if (outcome === 'loads') assert.deepEqual(kept.sort(), [false, true], 'the models are not both there');
        else assert.deepEqual(kept, [false], 'a part can be read, or the other model is gone');
        await offline(OTHER_MODEL);
        if (outcome === 'loads') await offline();
      }),
    );
  }

  for (const part of ['#manifest/', '#chunk/', '#ref/', '#used/']) {
    for (const how of changesOf(part)) {
      test(`rows with ${part}: ${how}`, () =>
        withStore(async ({ page, loads, offline }) => {
          await loads('the first time');
          assert.ok((await tamper(page, `${MODEL}${part}`, how)) > 0);
          await loads('after it was changed');
          await offline();
          await offline(OTHER_MODEL);
        }));
    }
  }

  for (const part of ['#partial/', '#chunk/']) {
    for (const how of changesOf(part)) {
      test(`rows with ${part} of a download that broke off: ${how}`, () =>
        withStore(async ({ hub, page, start, loads }) => {
          hub.setFaults(BROKEN_OFF);
          assert.equal((await start()).error?.code, 'FETCH_FAILED');
          hub.setFaults([]);
          assert.ok((await tamper(page, `${MODEL}${part}`, how)) > 0);
          await loads('after it was changed');
          assert.deepEqual(await keys(page, '#partial/'), []);
        }));
    }
  }

  test('another version of the database comes and goes while a model is loaded', () =>
    withStore(async ({ hub, page, start }) => {
      hub.setFaults([{ file: 'model.safetensors', fault: 'drip', value: 60_000 }]);
      const answer = start();
      await page.waitForTimeout(700);
      await page.evaluate(async () => {
        const request = indexedDB.open('pilotlight', 99);
        await new Promise((resolve, reject) => Object.assign(request, { onsuccess: resolve, onerror: reject }));
        request.result.close();
        const gone = indexedDB.deleteDatabase('pilotlight');
        await new Promise((resolve, reject) => Object.assign(gone, { onsuccess: resolve, onerror: reject }));
      });
      const { error, vectors } = await answer;
      if (error) assert.equal(error.name, 'PilotlightError', error.message);
      else near(vectors, 'while it was deleted');
      hub.setFaults([]);
    }));

  test('a clock that was wrong deletes no model, and the list and the sweep bear it', () =>
    withStore(async ({ page, loads, offline }) => {
      await loads('the first time');
      for (const now of [0, 8.64e15]) {
        await page.reload();
        await page.evaluate(patches.clock, now);
        const listed = await page.evaluate(async () => (await import('/package/web.js')).models.list());
        assert.equal(listed.length, 2);
        await offline(); // its first answer sweeps
        assert.equal((await keys(page, '#manifest/')).length, 2);
      }
    }));

  for (const evict of [false, true]) {
    test(`where the quota is reached ${evict ? 'the least recently used model goes' : 'no model goes'}, with evict: ${evict}`, async () => {
      const hub = await startHub({ models: { 'test/a': minilm, 'test/b': minilm, 'test/c': minilm } });
      const context = await browser.newContext();
      try {
        const page = await context.newPage();
        await page.goto(bench.url);
        // Two models of 24 MB and not three.
        await (await context.newCDPSession(page)).send('Storage.overrideQuotaForOrigin', {
          origin: bench.url,
          quotaSize: 60e6,
        });
        const load = (model) => visit(page, { host: hub.url, dtype: 'q8', device: 'cpu', evict }, model);
        const list = async () =>
          Object.fromEntries(
            (await page.evaluate(async () => (await import('/package/web.js')).models.list())).map((one) => [
              one.model,
              one,
            ]),
          );
        for (const model of ['test/a', 'test/b', 'test/a']) assert.equal((await load(model)).error, undefined);
        await until(
          'a was used last',
          async () => (await list())['test/a'].lastUsed > (await list())['test/b'].lastUsed,
        );
        const { error } = await load('test/c');
        if (evict) {
          assert.equal(error, undefined, error?.message);
          assert.deepEqual(Object.keys(await list()).sort(), ['test/a', 'test/c']);
        } else {
          assert.equal(error?.code, 'QUOTA_EXCEEDED', error?.message);
          assert.ok(error.needed > 20e6 && error.needed < 30e6, `needed ${error.needed}`);
          assert.deepEqual(Object.keys(await list()).sort(), ['test/a', 'test/b']);
        }
        hub.setFaults([{ fault: 'reset' }]);
        for (const model of Object.keys(await list())) assert.equal((await load(model)).error, undefined, model);
      } finally {
        await context.close();
        await hub.close();
      }
    });
  }
});
