// Runs tests/bits/cases.mjs on the installed package: in Node, and in a page of Chromium on any build.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, startBench } from '../browser/harness.mjs';
import { startHub } from '../hub/hub.mjs';
import { MINILM, ROOT, tinyFolder } from '../package/support/models.mjs';
import { arithmetic, digests, MODELS } from './cases.mjs';

const CASES = fileURLToPath(new URL('cases.mjs', import.meta.url));
export const RECORD = fileURLToPath(new URL('record.json', import.meta.url));

/** The digests: by arithmetic, by case, by what was computed. */
export const record = () => JSON.parse(readFileSync(RECORD, 'utf8'));

/** The folders with the files of the cases, which tests/hub/hub.mjs serves. */
export const FOLDERS = {
  [MODELS.minilm]: MINILM,
  [MODELS.gguf]: tinyFolder('gguf'),
  [MODELS.clipTiny]: tinyFolder('clip-tiny'),
  [MODELS.clipScenes]: path.join(ROOT, 'weights/tiny-clip'),
  [MODELS.images]: tinyFolder('decode'),
  [MODELS.scenes]: tinyFolder('clip-scenes'),
  ...Object.fromEntries(MODELS.tinyBerts.map((model) => [model, tinyFolder(model.split('/')[1])])),
};

/** The variants of Chromium: the build, V8's flags, and the part of the record that they must match on x86-64 with FMA3. */
export const CHROMIUM = {
  simd: { build: 'simd', part: 'simd' },
  relaxed: { build: 'relaxed', part: 'relaxed, fused' },
  'relaxed without FMA3': { build: 'relaxed', part: 'relaxed, unfused', flags: ['--no-enable-fma3'] },
};

/**
 * The installed package in a place.
 * @typedef {object} Place
 * @property {string} part which part of the record holds there
 * @property {(name: string) => Promise<Record<string, string>>} digests of a case
 * @property {() => Promise<void>} close
 */

/** @returns {Promise<Place>} */
export async function inNode() {
  const [pilotlight, judge] = await Promise.all([import('pilotlight'), import('pilotlight/judge')]);
  await pilotlight.init();
  const part = await arithmetic((await pilotlight.diagnose()).cpuCore.simd);
  const hub = await startHub({ models: FOLDERS });
  return { part, digests: (name) => digests(name, { pilotlight, judge, host: hub.url }), close: hub.close };
}

/**
 * @param {{ build: 'simd' | 'relaxed', flags?: string[] }} how as in `CHROMIUM`
 * @returns {Promise<Place>}
 */
export async function inChromium({ build, flags }) {
  const browser = await launch({ engineFlags: flags });
  const bench = await startBench(FOLDERS);
  const close = async () => {
    await browser.close();
    await bench.close();
  };
  try {
    const page = await browser.newPage();
    await page.route('**/cases.mjs', (route) => route.fulfill({ path: CASES, contentType: 'text/javascript' }));
    await page.goto(bench.url);
    const part = await page.evaluate(async (build) => {
      const [pilotlight, judge, { arithmetic, digests }] = await Promise.all([
        import('/package/web.js'),
        import('/package/judge.js'),
        import('/cases.mjs'),
      ]);
      await pilotlight.init({ wasm: `/package/core/${build}.wasm` });
      window.digestsOf = (name) => digests(name, { pilotlight, judge, host: `${location.origin}/hub` });
      return arithmetic((await pilotlight.diagnose()).cpuCore.simd);
    }, build);
    return { part, digests: (name) => page.evaluate((name) => window.digestsOf(name), name), close };
  } catch (error) {
    await close();
    throw error;
  }
}
