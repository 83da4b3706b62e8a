// The same scenarios in Chromium, Firefox and WebKitGTK, and a table of how each came out.
//
//   node --test tests/engines/engines.test.mjs            all of them
//   ENGINES=WebKit node --test --test-name-pattern=digit …   some of them, in one
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FOLDERS } from '../bits/runs.mjs';
import { startBench } from '../browser/harness.mjs';
import { CLASSIFIERS, CLIPS, DECODERS, TINY } from '../package/support/goldens.mjs';
import { tinyFolder } from '../package/support/models.mjs';
import { demo } from './demo.mjs';
import { images } from './images.mjs';
import { launchChromium, launchFirefox } from './puppeteer.mjs';
import { storage } from './storage.mjs';
import { values } from './values.mjs';
import { launchWebKit } from './webkit.mjs';
import { workers } from './workers.mjs';

/**
 * @typedef {object} Tab
 * @property {(url: string) => Promise<void>} open
 * @property {(work: (argument: any) => any, argument?: unknown) => Promise<any>} call runs a function in the page; both ways in JSON
 * @property {(selector: string) => Promise<void>} press by mouse
 * @property {(selector: string, text: string) => Promise<void>} type by keyboard
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Visitor a profile of its own, empty at first
 * @property {() => Promise<Tab>} tab
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Browser
 * @property {string} version
 * @property {() => Promise<Visitor>} visitor
 * @property {() => Promise<void>} close
 *
 * @typedef {object} Place
 * @property {Awaited<ReturnType<typeof startBench>>} bench
 * @property {() => Promise<{ tab: (url: string) => Promise<Tab> }>} visitor
 * @property {(url: string) => Promise<Tab>} tab of a new visitor
 * @property {Set<string>} lacks of `FEATURES`
 *
 * @typedef {(place: Place, t: import('node:test').TestContext) => Promise<void>} Scenario
 */

const ENGINES = { Chromium: launchChromium, Firefox: launchFirefox, WebKit: launchWebKit };
const SCENARIOS = { ...values, ...storage, ...workers, ...images, ...demo };

const MODELS = {
  ...FOLDERS,
  ...Object.fromEntries(
    [...TINY, ...CLASSIFIERS, ...DECODERS, ...CLIPS, 'resize'].map((name) => [`test/${name}`, tinyFolder(name)]),
  ),
};
const FILES = { '/cases.mjs': fileURLToPath(new URL('../bits/cases.mjs', import.meta.url)) };

/** The parts of the platform that the package uses where they are there, and does without where they are not. */
const featuresOf = (page) =>
  page.call(async () => ({
    'relaxed SIMD': WebAssembly.validate(await (await fetch('/package/core/relaxed.wasm')).arrayBuffer()),
    WebGPU: Boolean(await navigator.gpu?.requestAdapter()),
    'locks between tabs': 'locks' in navigator,
    'service workers': 'serviceWorker' in navigator,
    'the memory of the device': navigator.deviceMemory !== undefined,
  }));

/** The outcomes, by scenario or feature and by engine. */
const table = {};
const note = (row, engine, word) => {
  table[row] = { ...table[row], [engine]: word };
};
const chosen = process.env.ENGINES?.split(',') ?? Object.keys(ENGINES);
after(() => {
  const engines = Object.keys(Object.assign({}, ...Object.values(table)));
  const lines = [
    ['', ...engines],
    ['---', ...engines.map(() => '---')],
  ];
  for (const [row, words] of Object.entries(table)) lines.push([row, ...engines.map((engine) => words[engine] ?? '')]);
  console.log(lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n'));
});

for (const name of chosen)
  describe(name, () => {
    const place = { lacks: new Set() };
    let browser;
    let visitors = [];
    before(async () => {
      browser = await ENGINES[name]();
      place.bench = await startBench(MODELS, { files: FILES });
      place.visitor = async () => {
        const visitor = await browser.visitor();
        visitors.push(visitor);
        const tab = async (url) => {
          const tab = await visitor.tab();
          await tab.open(url);
          return tab;
        };
        return { tab };
      };
      place.tab = async (url) => (await place.visitor()).tab(url);
      note('version', name, browser.version);
      for (const [feature, isThere] of Object.entries(await featuresOf(await place.tab(place.bench.url)))) {
        note(feature, name, isThere ? 'yes' : 'no');
        if (!isThere) place.lacks.add(feature);
      }
    });
    after(async () => {
      await browser?.close();
      await place.bench?.close();
    });
    afterEach(async () => {
      place.bench.setFaults([]);
      await Promise.all(visitors.map((visitor) => visitor.close()));
      visitors = [];
    });

    for (const [scenario, run] of Object.entries(SCENARIOS))
      test(scenario, async (t) => {
        note(scenario, name, 'fails');
        await run(place, t);
        note(scenario, name, 'passes');
      });
  });
