// Tests `models.plan` for the repositories that docs/models.md names: the class that loads them, the files, or the error. Their configs are
// made by the classes of transformers (tests/goldens/configs/repositories.py), their weights are zeros of a tiny model.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { models } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { ROOT } from './support/models.mjs';
import { write } from './support/safetensors.mjs';

const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
const GEMMA = 'google/embeddinggemma-300m';
const { repositories, configs, shapes } = JSON.parse(
  readFileSync(path.join(ROOT, 'tests/goldens/configs/repositories.json'), 'utf8'),
);
const TOKENIZERS = {
  'tokenizer.json': {},
  'tokenizer_config.json': { pad_token: '</s>', model_max_length: 512 },
  'preprocessor_config.json': {},
};

/** A safetensors file of zeros. */
function zeros(of) {
  let end = 0;
  const entries = Object.entries(of).map(([name, shape]) => {
    const start = end;
    end += 4 * shape.reduce((product, size) => product * size, 1);
    return [name, { dtype: 'F32', shape, data_offsets: [start, end] }];
  });
  return write({ header: Object.fromEntries(entries), data: new Uint8Array(end) });
}

const json = (value) => new TextEncoder().encode(JSON.stringify(value));
const weights = new Map(Object.entries(shapes).map(([name, of]) => [name, zeros(of)]));

/** The files of a repository, the config and the weights in its folder. */
function filesOf({ config, shapes: own, folder, files }) {
  const beside = Object.entries(files).map(([name, value]) => [
    name,
    name.endsWith('.safetensors') ? zeros(value) : json(value),
  ]);
  const inFolder = Object.entries(config ? { 'config.json': configs[config], ...TOKENIZERS } : TOKENIZERS);
  return {
    ...Object.fromEntries(inFolder.map(([name, value]) => [folder + name, json(value)])),
    [`${folder}model.safetensors`]: weights.get(own),
    ...Object.fromEntries(beside),
  };
}

let hub;
before(async () => {
  hub = await startHub({ models: Object.fromEntries(repositories.map((one) => [one.name, filesOf(one)])) });
});
after(() => hub.close());

const plan = (name, host = hub) => models.plan(name, { host: host.url, device: 'cpu', dtype: 'q8', store: false });

for (const one of repositories.filter(({ refused }) => !refused)) {
  test(`${one.name} is loaded by ${one.class}`, async () => {
    const { class: found, files, tensors } = await plan(one.name);
    assert.equal(found, one.class);
    const read = files.map(({ path: name }) => name);
    assert.ok(
      read.some((name) => name.endsWith('model.safetensors')),
      `${read}`,
    );
    assert.ok(tensors >= 1);
    if (found === 'TextEmbedder')
      for (const name of Object.keys(one.files)) assert.ok(read.includes(name), `${name} is not among ${read}`);
  });
}

for (const one of repositories.filter(({ refused }) => refused)) {
  test(`${one.name} is refused by what it needs`, async () => {
    await assert.rejects(plan(one.name), ({ code, message }) => {
      assert.equal(code, 'UNSUPPORTED_MODEL');
      assert.ok(message.includes(one.refused), message);
      return true;
    });
  });
}

test('a plan lists the words that stand in for a tokenizer', async () => {
  const { 'tokenizer.json': _, ...files } = filesOf(repositories[0]);
  const words = new TextEncoder().encode('[PAD]\n[UNK]\n');
  const older = await startHub({ models: { 'test/words': { ...files, 'vocab.txt': words } } });
  const { files: read } = await plan('test/words', older).finally(older.close);
  const found = read.filter(({ path: name }) => /^(vocab|tokenizer)\./.test(name));
  assert.deepEqual(found, [{ path: 'vocab.txt', bytes: words.length }]);
});

test('a repository with terms says so before anything else', async () => {
  const gemma = repositories.find(({ name }) => name === GEMMA);
  const gated = await startHub({ models: { [GEMMA]: filesOf(gemma) }, traits: { gated: true } });
  await assert.rejects(plan(GEMMA, gated), { code: 'FETCH_FAILED', reason: 'gated' }).finally(gated.close);
});

test('the command line tells the same', async () => {
  const { bin } = JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8'));
  const check = (name) =>
    promisify(execFile)(process.execPath, [path.join(PACKAGE, bin.pilotlight), 'check', name, '--host', hub.url]);
  assert.match((await check('cross-encoder/ms-marco-MiniLM-L6-v2')).stdout, /loaded by {2}SequenceClassifier/);
  await assert.rejects(check(GEMMA), ({ stderr }) => /gemma3_text/.test(stderr));
});

test('docs/models.md names these repositories, and what loads them', () => {
  const docs = readFileSync(path.join(ROOT, 'docs/models.md'), 'utf8');
  const table = docs.split('## Repositories\n')[1]?.split('\n## ')[0] ?? '';
  const rows = table.split('\n').filter((line) => line.startsWith('| `'));
  const told = rows.flatMap((row) => {
    const [, names, what] = row.split(' | ').map((cell) => cell.replace(/^\| /, ''));
    assert.ok(what, row);
    return names.split(', ').map((name) => [name, row.split(' | ')[0].match(/`(.+)`/)[1]]);
  });
  const expected = repositories.map(({ name, class: loads }) => [name, loads ?? 'none']);
  assert.deepEqual(told.sort(), expected.sort());
});
