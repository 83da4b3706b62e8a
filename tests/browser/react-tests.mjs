// The tests of `pilotlight/react` for one version of React, in Chromium.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { goldens, launch, startBench, tinyGolden } from './harness.mjs';

const MODEL = 'test/bert-tiny-mean';
const CLIP = 'test/clip-tiny';

/** @param {string} modules the `node_modules` with React */
export function testReact(modules) {
  let bench;
  let browser;
  let page;
  let script;
  before(async () => {
    const { outputFiles } = await build({
      entryPoints: [fileURLToPath(new URL('react-page.mjs', import.meta.url))],
      bundle: true,
      write: false,
      format: 'esm',
      alias: { react: path.join(modules, 'react'), 'react-dom': path.join(modules, 'react-dom') },
      define: { 'process.env.NODE_ENV': '"development"' },
      logLevel: 'error',
    });
    script = outputFiles[0].text;
    bench = await startBench({
      [MODEL]: path.join(goldens, 'bert-tiny-mean'),
      [CLIP]: path.join(goldens, 'clip-tiny'),
    });
    browser = await launch();
  });
  after(async () => {
    await browser?.close();
    await bench?.close();
  });
  beforeEach(async () => {
    await page?.context().close();
    bench.setFaults([]);
    const context = await browser.newContext();
    page = await context.newPage();
    // Beside the package's files, which the bundle looks for beside itself.
    await page.route('**/package/page.js', (route) => route.fulfill({ body: script, contentType: 'text/javascript' }));
    await page.goto(bench.url);
    await page.evaluate(() => import('/package/page.js'));
    await page.evaluate((model) => {
      const { h, useTextEmbedder } = lib;
      globalThis.MODEL = model;
      globalThis.options = (more) => ({ host: `${location.origin}/hub`, dtype: 'f32', store: false, ...more });
      /** Shows the status, and keeps all that it was given. */
      globalThis.Status = function Status({ model = MODEL, more, seen = [] }) {
        const given = useTextEmbedder(model, options(more));
        seen.push(given);
        return h('p', null, given.status);
      };
    }, MODEL);
  });

  test(`React ${modules.includes('consumers') ? 18 : 19}`, async () => {
    const version = await page.evaluate(() => lib.React.version);
    assert.equal(version.split('.')[0], modules.includes('consumers') ? '18' : '19');
  });

  test('components share one embedder, also in StrictMode, until the last has gone', async () => {
    const { expected } = await tinyGolden('bert-tiny-mean');
    const [{ text, embedding }] = expected.cases;
    const result = await page.evaluate(async (text) => {
      const { React, h, root, until, wait, loads } = lib;
      const one = root();
      const two = root();
      const seen = [];
      const strict = (...children) => h(React.StrictMode, null, ...children);
      one.render(strict(h(Status, { seen }), h(Status)));
      two.render(strict(h(Status)));
      await until('all are ready', () => document.body.innerText.match(/ready/g)?.length === 3);
      const { embedder, progress, error } = seen.at(-1);
      const { data } = await embedder.embed(text);
      const statuses = [...new Set(seen.map(({ status }) => status))];

      one.unmount();
      await wait(1500);
      const other = await embedder.embed(text);
      two.unmount();
      await wait(300);
      // The next page of an app.
      const three = root();
      three.render(strict(h(Status)));
      await wait(1500);
      await embedder.embed(text);
      const loadsWhileUsed = loads.length;
      three.unmount();
      await wait(1500);
      const late = await embedder.embed(text).catch(({ code }) => code);
      return { data: [...data], same: other.data.length, statuses, progress, error, loadsWhileUsed, late };
    }, text);
    assert.ok(result.data.every((value, index) => Math.abs(value - embedding[index]) < 1e-4));
    assert.deepEqual(result.statuses, ['loading', 'ready']);
    assert.equal(result.progress.status, 'ready');
    assert.equal(result.error, undefined);
    assert.equal(result.loadsWhileUsed, 1);
    assert.equal(result.late, 'DISPOSED');
  });

  test('equal options share, other ones do not, and a changed model frees the one before', async () => {
    const result = await page.evaluate(async () => {
      const { h, root, until, wait, loads } = lib;
      const one = root();
      const show = (...models) => one.render(models.map((props, key) => h(Status, { key, ...props })));
      show(
        { more: { revision: 'main', timeout: 9000 } },
        { more: { timeout: 9000, revision: 'main' } },
        { more: { timeout: 9000 } },
      );
      await until('three are ready', () => document.body.innerText.match(/ready/g)?.length === 3);
      const before = loads.length;
      show({ model: null });
      const idle = await until('it is idle', () => document.body.innerText.trim() === 'idle');
      await wait(1500);
      const freed = await Promise.all(loads.map(({ embedder }) => embedder.embed('x').catch(({ code }) => code)));
      return { before, idle, freed };
    });
    assert.deepEqual(result, { before: 2, idle: true, freed: ['DISPOSED', 'DISPOSED'] });
  });

  test('a failure has its error, and retry loads again', async () => {
    bench.setFaults([{ file: 'config.json', fault: 'status', value: 404, times: 1 }]);
    const result = await page.evaluate(async () => {
      const { h, root, until, loads } = lib;
      const one = root();
      const seen = [];
      one.render(h(Status, { seen }));
      await until('it has failed', () => document.body.innerText.trim() === 'failed');
      const { error, embedder, retry } = seen.at(-1);
      retry();
      retry();
      await until('it is ready', () => document.body.innerText.trim() === 'ready');
      const first = seen.at(-1).embedder;
      seen.at(-1).retry();
      await until('another is ready', () => seen.at(-1).embedder && seen.at(-1).embedder !== first);
      const old = await first.embed('x').catch(({ code }) => code);
      return { code: error.code, embedder, loads: loads.map(({ came }) => came), old };
    });
    assert.deepEqual(result.loads, [result.code, 'embedder', 'embedder']);
    assert.equal(result.code, 'FETCH_FAILED');
    assert.equal(result.embedder, undefined);
    assert.equal(result.old, 'DISPOSED');
  });

  test('a load that nobody waits for any more is aborted', async () => {
    bench.setFaults([{ file: 'model.safetensors', fault: 'stall', value: 100 }]);
    const came = await page.evaluate(async () => {
      const { h, root, until, wait, loads } = lib;
      const one = root();
      one.render(h(Status));
      await until('it loads', () => loads.length === 1);
      one.unmount();
      await wait(300);
      const before = loads[0].came;
      await until('it has ended', () => loads[0].came !== 'nothing yet');
      return [before, loads[0].came];
    });
    assert.deepEqual(came, ['nothing yet', 'ABORTED']);
  });

  test('with suspense the fallback has the progress, and the component the embedder', async () => {
    const result = await page.evaluate(async () => {
      const { React, h, root, until, wait, loads, useTextEmbedder } = lib;
      const one = root();
      const statuses = new Set();
      function Word() {
        const { embedder, status } = useTextEmbedder(MODEL, { ...options(), suspense: true });
        statuses.add(status);
        return h('p', null, `${embedder.dimensions} values`);
      }
      const page = h(React.StrictMode, null, h(React.Suspense, { fallback: h(Status) }, h(Word), h(Word)));
      one.render(page);
      await until('the fallback is there', () => document.body.innerText.includes('loading'));
      await until('the words are there', () => document.body.innerText.match(/32 values/g)?.length === 2);
      await wait(1500);
      const { embedder } = loads[0];
      await embedder.embed('x');
      one.unmount();
      await wait(1500);
      return {
        loads: loads.length,
        statuses: [...statuses],
        late: await embedder.embed('x').catch(({ code }) => code),
      };
    });
    assert.deepEqual(result, { loads: 1, statuses: ['ready'], late: 'DISPOSED' });
  });

  test('with suspense a failure goes to the error boundary, which can try again', async () => {
    bench.setFaults([{ file: 'config.json', fault: 'status', value: 404, times: 1 }]);
    const result = await page.evaluate(async () => {
      const { React, h, root, until, wait, loads, useTextEmbedder } = lib;
      class Boundary extends React.Component {
        state = {};
        static getDerivedStateFromError(error) {
          return { error };
        }
        render() {
          globalThis.reset = () => this.setState({ error: undefined });
          return this.state.error ? `caught ${this.state.error.code}` : this.props.children;
        }
      }
      function Word() {
        return `${useTextEmbedder(MODEL, { ...options(), suspense: true }).embedder.dimensions} values`;
      }
      const one = root();
      one.render(h(Boundary, null, h(React.Suspense, { fallback: 'wait' }, h(Word))));
      const text = () => one.element.innerText;
      await until('it was caught', () => text() === 'caught FETCH_FAILED');
      const before = loads.length;
      await wait(1500);
      globalThis.reset();
      await until('it is there', () => text() === '32 values');
      return [before, loads.length];
    });
    assert.deepEqual(result, [1, 2]);
  });

  test('an index is filled, searched while one types, saved, and is another one for another source', async () => {
    const result = await page.evaluate(async () => {
      const { h, root, until, useTextEmbedder, useVectorIndex, useSearch, VectorIndex } = lib;
      const words = ['cat', 'house', 'river'];
      const seen = [];
      function Search({ text, source = 'one', prefix = '' }) {
        const { embedder } = useTextEmbedder(MODEL, options());
        const { index, status } = useVectorIndex(
          'words',
          embedder && { dimensions: embedder.dimensions, precision: 'float32', source },
        );
        const filter = (id) => id.startsWith(prefix);
        const search = useSearch(embedder, index, text, { k: 2, delay: 20, filter });
        seen.push({ embedder, index, search, status });
        return h('p', null, search.status);
      }
      const one = root();
      const last = () => seen.at(-1);
      const ready = (text) =>
        until(`${text} is found`, () => last().search.status === 'ready' && last().search.text === text);
      one.render(h(Search, { text: '' }));
      await until('there is an index', () => last()?.index);
      const begun = last().search.status;
      const { index, embedder } = last();
      index.add(words, await embedder.embed(words));
      await index.save('words');
      one.render(h(Search, { text: 'house' }));
      await ready('house');
      const [best, ...others] = last().search.hits;
      const { dims } = last().search.query;

      const from = seen.length;
      one.render(h(Search, { text: ' river ' }));
      await ready('river');
      const between = seen.slice(from, -1).map(({ search }) => [search.status, search.hits[0]?.id]);
      const river = last().search.hits[0].id;
      const embedded = last().search.query;
      one.render(h(Search, { text: 'river', prefix: 'ca' }));
      await until('it is filtered', () => last().search.hits[0]?.id === 'cat');
      const kept = last().search.query === embedded;

      index.remove(['river']);
      last().search.retry();
      await until('it was searched again', () => last().search.status === 'ready' && last().search.query !== embedded);
      one.render(h(Search, { text: '' }));
      await until('it is idle', () => last().search.status === 'idle');
      const idle = [last().search.hits, last().search.query];
      one.render(h(Search, { text: '', source: 'two' }));
      await until('there is another index', () => last().index && last().index !== index);
      const { size } = last().index;
      one.unmount();
      await until('the first is freed', () => {
        try {
          return !index.has('cat');
        } catch ({ code }) {
          return code === 'DISPOSED';
        }
      });
      const again = root();
      // Its first render comes later, and what was seen before has an index that is disposed of.
      seen.length = 0;
      again.render(h(Search, { text: '' }));
      await until('the saved one is there', () => last()?.index?.size === 3);
      const { code } = await until('a failure is told', async () => {
        await VectorIndex.delete('words');
        last().index.dispose();
        again.render(h(Search, { text: 'cat' }));
        return last().search.status === 'failed' && last().search.error;
      });
      return { begun, best, others: others.length, dims, between, river, kept, idle, size, code };
    });
    const { best, between, ...rest } = result;
    assert.equal(best.id, 'house');
    assert.ok(best.score > 0.999, String(best.score));
    assert.ok(
      between.length > 0 && between.every(([status, id]) => status === 'loading' && id === 'house'),
      `${between}`,
    );
    assert.deepEqual(rest, {
      begun: 'idle',
      others: 1,
      dims: [1, 32],
      river: 'river',
      kept: true,
      idle: [[], undefined],
      size: 0,
      code: 'DISPOSED',
    });
  });

  test('a search may embed by a function, without an index, and shows its error', async () => {
    const result = await page.evaluate(async () => {
      const { h, root, until, useSearch } = lib;
      let signals = 0;
      const embed = async (text, { signal }) => {
        signals += Number(signal instanceof AbortSignal);
        if (text === 'bad') throw 'no such word';
        return { data: new Float32Array(2), dims: [1, 2], ms: 5 };
      };
      let last;
      function Search({ text }) {
        last = useSearch(embed, null, text, { delay: 0 });
        return last.status;
      }
      const one = root();
      one.render(h(Search, { text: 'good' }));
      await until('it was embedded', () => last?.status === 'ready');
      const { ms } = last.query;
      one.render(h(Search, { text: 'bad' }));
      await until('it failed', () => last.status === 'failed');
      return { ms, hits: last.hits, message: last.error.message, signals };
    });
    assert.deepEqual(result, { ms: 5, hits: [], message: 'no such word', signals: 2 });
  });

  test('a model for images and the digit generator load the same way', async () => {
    const result = await page.evaluate(async (clip) => {
      const { h, root, until, useImageTextEmbedder, useDigitGenerator } = lib;
      let last;
      function Both() {
        last = [useImageTextEmbedder(clip, { ...options(), towers: ['text'] }), useDigitGenerator()];
        return null;
      }
      root().render(h(Both));
      await until('both are ready', () => last?.every(({ status }) => status === 'ready'));
      const [{ embedder }, { generator }] = last;
      const { dims } = await generator.generate({ digit: 3, steps: 1 });
      return { towers: embedder.towers, dims };
    }, CLIP);
    assert.deepEqual(result, { towers: ['text'], dims: [1, 28, 28] });
  });

  test('what a server rendered is taken over without a complaint', async () => {
    const problems = [];
    page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
    await page.evaluate(async () => {
      const { h, until, hydrateRoot } = lib;
      const element = document.body.appendChild(document.createElement('div'));
      element.innerHTML = '<p>loading</p>';
      hydrateRoot(element, h(Status));
      await until('it is ready', () => element.innerText.trim() === 'ready');
    });
    assert.deepEqual(problems, []);
  });
}
