// A program of its own with models in threads, for Node, Deno and Bun: prints what came of it as JSON, and ends by itself.
import { readFileSync } from 'node:fs';
import threads from 'node:worker_threads';
import { TextEmbedder } from '../../../node_modules/pilotlight/inline.js';

const { folder, isDisposed = true, faults = false, store, host } = JSON.parse(process.argv[2]);
const TEXTS = Array.from({ length: 300 }, (_, i) => `text ${i} about ${'a dog in the park '.repeat(1 + (i % 5))}`);

const { Worker } = threads;
const started = [];
threads.Worker = class extends Worker {
  constructor(...args) {
    super(...args);
    started.push(this);
  }
};

const NAMES = ['config.json', 'tokenizer.json', 'modules.json', '1_Pooling/config.json', 'model.safetensors'];
const files = () => Object.fromEntries(NAMES.map((name) => [name, new Uint8Array(readFileSync(`${folder}/${name}`))]));

async function load(more) {
  if (store === undefined) return TextEmbedder.load('test/tiny', { files: files(), ...more });
  const { fileStore } = await import('../../../node_modules/pilotlight/node.js');
  return TextEmbedder.load('test/tiny', { store: fileStore(store), host, ...more });
}

// Only the thread may refresh a store that the test looks at.
const own = store === undefined ? await load({}) : undefined;
const two = await load({ workers: 2 });
const expected = await (own ?? two).embed(TEXTS);
let isEqual = true;
let dims;
for (let i = 0; i < 3; i += 1) {
  const rows = await two.embed(TEXTS);
  dims = rows.dims;
  isEqual &&= rows.data.every((value, at) => value === expected.data[at]);
}
const seen = { dims, equal: isEqual, worker: two.backend.worker };
if (faults) {
  const many = Array.from({ length: 40 }, () => TEXTS).flat();
  const aborter = new AbortController();
  setTimeout(() => aborter.abort(), 30);
  seen.aborted = await two.embed(many, { signal: aborter.signal }).then(
    () => 'no error',
    ({ code }) => code,
  );
  setTimeout(() => started[0].terminate(), 30);
  seen.killed = await two.embed(many).then(
    () => 'no error',
    ({ code }) => code,
  );
  seen.again = (await (await load({ worker: true })).embed('a dog')).dims;
}
if (isDisposed) two.dispose();
console.log(JSON.stringify({ ...seen, lastMs: Date.now() }));
