// Several tabs that load one model, tabs and browsers that end in the middle, and what a later visit asks of the host.
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import { startHub } from '../hub/hub.mjs';
import { FILES, OTHER } from '../hub/matrix.mjs';
import {
  cosine,
  FIGURES,
  launch,
  MINILM,
  minilm,
  minilmGolden,
  persistentProfile,
  startBench,
  tinyGolden,
  until,
} from './harness.mjs';

const CHUNK = 4 << 20;
const TINY = 'test/bert-tiny-mean';
/** The texts whose vectors are in the goldens. */
const TEXTS = { [MINILM]: 'man on steps', [TINY]: 'The pilot light is warm.' };
let browser;
let bench;
let hub;
let tiny;

before(async () => {
  browser = await launch();
  bench = await startBench({});
  tiny = await tinyGolden('bert-tiny-mean');
  hub = await startHub({ models: { [MINILM]: minilm } });
});
after(async () => {
  await browser?.close();
  await bench?.close();
  await hub?.close();
});
beforeEach(() => {
  hub.setFaults([]);
  hub.requests.length = 0;
});

/** A tab on the empty page. */
async function tab(context) {
  const page = await context.newPage();
  await page.goto(bench.url);
  return page;
}

/**
 * Loads in a tab and embeds the model's text. `events` are those of the progress, also to be seen while it goes on as `window.events`;
 * `asked` is how many requests went to the hub until there was an answer.
 */
const load = (page, model = MINILM, options = {}) =>
  page.evaluate(
    async ({ model, options, text }) => {
      let asked = 0;
      const { fetch } = window;
      window.fetch = (request, init) => {
        if ((request.url ?? String(request)).startsWith(options.host)) asked += 1;
        return fetch(request, init);
      };
      window.events = [];
      try {
        const { TextEmbedder } = await import('/package/web.js');
        const embedder = await TextEmbedder.load(model, {
          ...options,
          onProgress: (event) => window.events.push(event),
        });
        const { data } = await embedder.embed(text);
        const answer = { vector: Array.from(data), events: window.events, asked };
        embedder.dispose();
        return answer;
      } catch ({ name, code, message }) {
        return { error: { name, code, message }, events: window.events, asked };
      } finally {
        window.fetch = fetch;
      }
    },
    { model, options: { host: hub.url, device: 'cpu', dtype: 'q8', ...options }, text: TEXTS[model] },
  );

/** Waits until a tab's load has this many bytes. */
const loaded = (page, bytes) =>
  page.waitForFunction((bytes) => window.events?.some(({ loaded }) => loaded >= bytes), bytes, { polling: 20 });

/** Returns the stored models as the package lists them. */
const list = (page) => page.evaluate(async () => (await import('/package/web.js')).models.list());

const sent = () => hub.requests.reduce((sum, { bytes }) => sum + bytes, 0);
const weightRequests = () => hub.requests.filter(({ method, url }) => method === 'GET' && url.endsWith('.safetensors'));
const drip = (bytesPerSecond) => hub.setFaults([{ file: /safetensors$/, fault: 'drip', value: bytesPerSecond }]);

/** One load of MiniLM by itself: its bytes on the wire, and its vector. */
let single;
async function alone() {
  if (single) return single;
  const context = await browser.newContext();
  const { vector, error } = await load(await tab(context));
  assert.equal(error, undefined);
  const { embedding } = (await minilmGolden()).cases.find(({ text }) => text === TEXTS[MINILM]);
  assert.ok(cosine(vector, embedding) > 0.975);
  single = { vector, bytes: sent() };
  hub.requests.length = 0;
  await context.close();
  return single;
}

for (const count of [2, 5]) {
  test(`${count} tabs that load at once fetch the model once`, async () => {
    const { vector, bytes } = await alone();
    drip(60e6);
    const context = await browser.newContext();
    const pages = await Promise.all(Array.from({ length: count }, () => tab(context)));
    const answers = await Promise.all(pages.map((page) => load(page)));
    for (const answer of answers) {
      assert.equal(answer.error, undefined);
      assert.deepEqual(answer.vector, vector);
      assert.equal(answer.events.at(-1).status, 'ready');
      const seen = answer.events.filter(
        ({ status, cached, loaded, total }) => status === 'download' && !cached && loaded > 0 && loaded < total,
      );
      assert.ok(seen.length >= 3, `a tab that waits sees how far it is: ${JSON.stringify(answer.events.slice(0, 5))}`);
    }
    assert.ok(sent() <= bytes + CHUNK, `${sent()} bytes for ${count} tabs, ${bytes} for one`);
    await context.close();
  });
}

for (const end of ['closed', 'crashed']) {
  test(`when the tab that downloads is ${end}, another goes on from the last durable point`, async () => {
    const { vector, bytes } = await alone();
    drip(20e6);
    const context = await browser.newContext();
    const first = await tab(context);
    const second = await tab(context);
    void load(first).catch(() => {}); // the page goes away under it
    await loaded(first, 1e6);
    const answer = load(second);
    await loaded(first, 35e6);
    const before = sent();
    if (end === 'closed') await first.close();
    else void (await context.newCDPSession(first)).send('Page.crash').catch(() => {});
    const { error, vector: found } = await answer;
    assert.equal(error, undefined, error?.message);
    assert.deepEqual(found, vector);
    const from = Number(/bytes=(\d+)/.exec(weightRequests().at(-1).headers.range)[1]);
    assert.ok(from > 25e6 && from <= before + 4e6, `it went on from ${from}, when ${before} were sent`);
    // The bytes that were in flight when the tab ended are fetched again: those of a few tenths of a second.
    assert.ok(sent() <= bytes + CHUNK + 6e6, `${sent()} bytes, ${bytes} for a load in one go`);
    await context.close();
  });
}

/** The same numbers each time. */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The browser that this test started on a profile: a child of ours, so no other is ever killed. */
async function browserProcess() {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const read = (name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
    const parent = Number(/^PPid:\s+(\d+)$/m.exec(await read('status'))?.[1]);
    if (parent === process.pid && (await read('cmdline')).includes('pilotlight-profile-')) return Number(pid);
  }
  throw new Error('the browser was not found');
}

const KILLS = FIGURES ? 20 : 4;

test(`a browser killed ${KILLS} times in the middle never reads a part of a model, and comes to its end`, {
  timeout: 150_000,
}, async (t) => {
  const { vector, bytes } = await alone();
  const next = random(7);
  const profile = await persistentProfile();
  let killed = 0;
  let whole = false;
  try {
    for (; killed < KILLS; killed += 1) {
      drip(8e6);
      const context = await profile.open();
      const page = await tab(context);
      const found = await list(page);
      if (!whole)
        assert.ok(
          found.every((model) => !model.whole),
          `after ${killed} kills: ${JSON.stringify(found)}`,
        );
      const answer = load(page).then(
        (answer) => {
          assert.equal(
            answer.error,
            undefined,
            `after ${killed} kills: ${answer.error?.code} ${answer.error?.message}`,
          );
          assert.deepEqual(answer.vector, vector, `after ${killed} kills`);
          whole = true;
        },
        (gone) => assert.match(gone.message, /closed|crash|destroyed/i),
      );
      await new Promise((resolve) => setTimeout(resolve, 100 + next() * 1200));
      process.kill(await browserProcess(), 'SIGKILL');
      await answer;
      await context.close().catch(() => {});
    }
    t.diagnostic(`${sent()} bytes came before the last visit, ${bytes} come in one go`);
    hub.setFaults([]);
    const context = await profile.open();
    const page = await tab(context);
    const last = await load(page);
    assert.equal(last.error, undefined, last.error?.message);
    assert.deepEqual(last.vector, vector);
    assert.deepEqual(
      (await list(page)).map((model) => model.whole),
      [true],
    );
    // At each kill at most a chunk was not durable yet, and some tenths of a second were on their way.
    assert.ok(sent() <= bytes + killed * (CHUNK + 2e6), `${sent()} bytes in all, ${bytes} in one go`);
    hub.setFaults([{ fault: 'reset' }]);
    assert.deepEqual((await load(page)).vector, vector);
    await context.close();
  } finally {
    await profile.remove();
  }
});

test('aborting at any moment rejects within 100 ms, also while another tab downloads', async () => {
  const { vector } = await alone();
  drip(12e6);
  const context = await browser.newContext();
  const next = random(3);
  const abortAfter = (page, milliseconds) =>
    page.evaluate(
      async ({ milliseconds, model, options }) => {
        const { TextEmbedder } = await import('/package/web.js');
        const controller = new AbortController();
        let fired;
        setTimeout(() => {
          fired = performance.now();
          controller.abort();
        }, milliseconds);
        return TextEmbedder.load(model, { ...options, signal: controller.signal }).then(
          (embedder) => {
            embedder.dispose();
            return 'it loaded';
          },
          ({ code }) => ({ code, took: performance.now() - fired }),
        );
      },
      { milliseconds, model: MINILM, options: { host: hub.url, device: 'cpu', dtype: 'q8' } },
    );
  const [page, other] = [await tab(context), await tab(context)];
  const times = [];
  /** Two at once: one of them waits for the other. */
  const both = async (milliseconds) => {
    const outcomes = await Promise.all([abortAfter(page, milliseconds), abortAfter(other, milliseconds)]);
    for (const outcome of outcomes.filter((outcome) => outcome !== 'it loaded')) {
      assert.equal(outcome.code, 'ABORTED');
      times.push(outcome.took);
    }
    return outcomes;
  };
  for (let i = 0; i < 16; i += 1) assert.ok(!(await both(Math.round(next() ** 2 * 700))).includes('it loaded'));
  hub.setFaults([]);
  assert.deepEqual((await load(page)).vector, vector);
  // These loads are from the store.
  for (let i = 0; i < 8; i += 1) await both(Math.round(next() * 150));
  // A machine that is busy with something else holds single ones up.
  times.sort((a, b) => a - b);
  assert.ok(
    times[Math.floor(times.length * 0.9)] <= 100,
    `nine of ten within ${times[Math.floor(times.length * 0.9)]} ms`,
  );
  assert.ok(times.at(-1) <= 1000, `the slowest in ${times.at(-1)} ms`);
  assert.deepEqual((await load(page)).vector, vector);
  await context.close();
});

const tinyVector = () => tiny.expected.cases.find(({ text }) => text === TEXTS[TINY]).embedding;
const F32 = { dtype: 'f32' };
const isTiny = ({ vector, error }) => {
  assert.equal(error, undefined, error?.message);
  assert.ok(cosine(vector, tinyVector()) > 0.9999);
};

/** Waits until the store knows of a commit. */
const known = (page, commit) =>
  until('the store knows of the new commit', () =>
    page.evaluate(async (commit) => {
      const done = (request) =>
        new Promise((resolve, reject) =>
          Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }),
        );
      const database = await done(indexedDB.open('pilotlight'));
      const objects = database.transaction('bytes').objectStore('bytes');
      const [keys, values] = await Promise.all([done(objects.getAllKeys()), done(objects.getAll())]);
      database.close();
      return keys.some((key, i) => key.includes('#ref/') && new TextDecoder().decode(values[i]).includes(commit));
    }, commit),
  );

async function withTiny(options, work) {
  const context = await browser.newContext();
  const own = await startHub({ models: { [TINY]: FILES } });
  try {
    const page = await tab(context);
    const visit = async (more) => {
      own.requests.length = 0;
      await page.reload();
      // Requests of the page are counted in the page, so it loads without a worker.
      return load(page, TINY, { ...F32, host: own.url, worker: false, ...options, ...more });
    };
    await work({ own, page, visit });
  } finally {
    await context.close();
    await own.close();
  }
}

const asked = (own, part) => own.requests.filter(({ url }) => url.includes(part)).length;

test('a later visit asks for nothing before its first answer, and then what the branch stands for', () =>
  withTiny({}, async ({ own, visit }) => {
    isTiny(await visit());
    const again = await visit();
    isTiny(again);
    assert.equal(again.asked, 0);
    assert.ok(again.events.every(({ cached }) => cached));
    await until('the branch is asked for', () => asked(own, '/revision/main') > 0);
    assert.equal(asked(own, '/resolve/'), 0);
  }));

test('a later visit to a commit asks for nothing at all', () =>
  withTiny({}, async ({ own, page, visit }) => {
    const { sha } = await (await fetch(`${own.url}/api/models/${TINY}/revision/main`)).json();
    isTiny(await visit({ revision: sha }));
    isTiny(await visit({ revision: sha }));
    await page.waitForTimeout(500);
    assert.deepEqual(
      own.requests.map(({ url }) => url),
      [],
    );
  }));

test('when the branch has moved to other weights, the visit after the next has them', () =>
  withTiny({}, async ({ own, page, visit }) => {
    const first = await visit();
    const commit = await own.push(TINY, OTHER);
    assert.deepEqual((await visit()).vector, first.vector, 'the next visit has what is there');
    await known(page, commit);
    const third = await visit();
    assert.equal(third.error, undefined, third.error?.message);
    assert.notDeepEqual(third.vector, first.vector);
    assert.ok(asked(own, 'model.safetensors') > 0);
    const models = await list(page);
    assert.deepEqual(
      models.map((model) => model.commit),
      [commit],
      'the one before is gone',
    );
    const fourth = await visit();
    assert.equal(fourth.asked, 0);
    assert.deepEqual(fourth.vector, third.vector);
  }));

test('when the branch has moved and the host is gone, the model of before is there', () =>
  withTiny({ timeout: 5000 }, async ({ own, page, visit }) => {
    isTiny(await visit());
    const commit = await own.push(TINY, OTHER);
    isTiny(await visit());
    await known(page, commit);
    own.setFaults([{ fault: 'reset' }]);
    isTiny(await visit());
  }));

test('when only a file has changed that is not needed, no weights are asked for', () =>
  withTiny({}, async ({ own, page, visit }) => {
    isTiny(await visit());
    const commit = await own.push(TINY, { ...FILES, 'README.md': 'new words' });
    isTiny(await visit());
    await known(page, commit);
    const third = await visit();
    isTiny(third);
    assert.equal(third.asked, 0);
    await page.waitForTimeout(300);
    assert.equal(asked(own, '/resolve/'), 0);
    assert.deepEqual(
      (await list(page)).map((model) => [model.commit, model.whole]),
      [[commit, true]],
    );
  }));
