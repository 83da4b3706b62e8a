// `pilotlight pull` with `--vocabulary`, `--dimensions`, `--layers` and `--evaluate`: what is left of a model computes what the whole one does.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { TextEmbedder } from 'pilotlight';
import { startHub } from '../hub/hub.mjs';
import { filesOf, golden, HUB_MODELS, MINILM, ROOT, tinyFolder } from './support/models.mjs';
import { parse } from './support/safetensors.mjs';

const PACKAGE = path.join(ROOT, 'node_modules/pilotlight');
const CLI = path.join(PACKAGE, JSON.parse(readFileSync(path.join(PACKAGE, 'package.json'), 'utf8')).bin.pilotlight);
const LARGE = 'sentence-transformers/all-MiniLM-L6-v2';
const STS = path.join(process.env.PILOTLIGHT_DATA ?? path.join(ROOT, '.data'), 'sts/stsb-en-dev.csv');
/** Words of no corpus here, a script of no tokenizer here, and an emoji. */
const STRANGE = 'Quixotic zephyrs 私は, naïve \u{1f9ea} jumbled';

const UNLIKELY = 'test/unlikely';

/** A model with a character in the middle of a word that is no piece by itself, and with a piece of a very low score that no text has. */
function unlikely() {
  const files = filesOf(tinyFolder('xlm-roberta-tiny'));
  const tokenizer = JSON.parse(new TextDecoder().decode(files['tokenizer.json']));
  const { vocab } = tokenizer.model;
  const others = vocab.filter(([piece]) => [...piece.replace('▁', '')].length > 1 && !piece.startsWith('<'));
  const pieces = [
    ['b\u{1f9ea}a', -90],
    ['aol', -3],
    ['zzzz', -160],
  ];
  for (const [index, piece] of pieces.entries()) vocab[vocab.indexOf(others.at(-1 - index))] = piece;
  // In the whole model b🧪a,o,l (-150) beats b,🧪,aol (-176), in one whose lowest score were -90 it would not.
  for (const piece of vocab) if (['o', 'l'].includes(piece[0])) piece[1] = -30;
  return { ...files, 'tokenizer.json': new TextEncoder().encode(JSON.stringify(tokenizer)) };
}

let hub;
let base;
before(async () => {
  const classifier = { 'test/bert-tiny-classifier': tinyFolder('bert-tiny-classifier') };
  hub = await startHub({ models: { ...HUB_MODELS, ...classifier, [UNLIKELY]: unlikely() }, port: 0 });
  base = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-cut-'));
});
beforeEach(() => {
  hub.requests.length = 0;
});
after(() => {
  rmSync(base, { recursive: true });
  return hub.close();
});

async function run(args) {
  const child = spawn(process.execPath, [CLI, ...args], { env: { ...process.env, HF_TOKEN: '' }, cwd: base });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (output[name] += text));
  const [code] = await once(child, 'close');
  return { code, ...output };
}

const freshFolder = () => mkdtempSync(path.join(base, 'f-'));
const made = (out, model) => path.join(out, model, 'resolve/main');
const pull = (model, out, ...more) => run(['pull', model, '--host', hub.url, '--out', out, ...more]);

function written(name, content) {
  const file = path.join(freshFolder(), name);
  writeFileSync(file, content);
  return file;
}

async function pulled(model, ...more) {
  const out = freshFolder();
  const { code, stdout, stderr } = await pull(model, out, ...more);
  assert.equal(code, 0, stderr);
  const verified = await run(['verify', out]);
  assert.match(verified.stdout, /files checked: all as they should be\n$/);
  assert.equal(verified.code, 0);
  return { folder: made(out, model), stdout, out };
}

async function embedder(folder, options = {}) {
  return TextEmbedder.load('test/cut', {
    files: filesOf(folder),
    dtype: 'q8',
    device: 'cpu',
    store: false,
    ...options,
  });
}

/** The vectors of texts, one by one as lists. */
async function vectors(folder, texts, { dtype, ...options } = {}) {
  const model = await embedder(folder, { dtype });
  const { data, dims, tokens } = await model.embed(texts, options);
  model.dispose();
  return { data, dims, tokens };
}

/** The numbers in the table that is printed: `[before, after]` by the row's name. */
function tableIn(stdout) {
  const rows = stdout.matchAll(
    /^(bytes|pieces of the vocabulary|floats of a vector|Spearman) +([\d.,-]+) +([\d.,-]+)$/gm,
  );
  return Object.fromEntries(
    [...rows].map(([, name, ...numbers]) => [name, numbers.map((number) => Number(number.replaceAll(',', '')))]),
  );
}

const read = (folder, file) => JSON.parse(readFileSync(path.join(folder, file), 'utf8'));

/** Checks that all files of a folder are about the same number of ids, and returns it. */
function rowsIn(folder, dtype = 'q8') {
  const { header } = parse(new Uint8Array(readFileSync(path.join(folder, `pilotlight-${dtype}.safetensors`))));
  const table = Object.keys(header).find((name) =>
    /(word|tok)_embeddings\.weight$|^embeddings$|^embedding\.weight$/.test(name),
  );
  const mapped = header.mapping?.shape[0];
  const rows = mapped ?? header[table].shape[0];
  if (dtype === 'q8') assert.equal(header[`${table}_scale`].shape[0], header[table].shape[0]);
  const { model, added_tokens } = read(folder, 'tokenizer.json');
  const pieces = Array.isArray(model.vocab) ? model.vocab.map(([piece]) => piece) : Object.keys(model.vocab);
  const names = new Set([...pieces, ...added_tokens.map(({ content }) => content)]);
  assert.equal(rows, names.size);
  if (!Array.isArray(model.vocab))
    assert.deepEqual(
      Object.values(model.vocab).sort((a, b) => a - b),
      pieces.map((_, id) => id),
    );
  for (const { id } of added_tokens) assert.ok(id < rows);
  const { vocab_size, pad_token_id } = read(folder, 'config.json');
  if (vocab_size !== undefined) assert.equal(vocab_size, rows);
  if (pad_token_id != null) assert.ok(pad_token_id < rows);
  return rows;
}

const TINY = [
  ['bert-tiny-mean', 'q8'],
  ['bert-tiny-prompt', 'q8'],
  ['distilbert-tiny-cls', 'q8'],
  ['mpnet-tiny', 'q8'],
  ['nomic-tiny', 'q8'],
  ['jina-tiny', 'q8'],
  ['xlm-roberta-tiny', 'q8'],
  ['xlm-roberta-tiny', 'f32'],
  ['xlm-roberta-tiny', 'q4'],
  ['camembert-tiny', 'q8'],
  ['roberta-tiny', 'q8'],
  ['roberta-tiny', 'f32'],
  ['modernbert-tiny', 'q8'],
  ['static-tiny', 'q8'],
  ['static-tiny-mapped', 'q8'],
  ['static-tiny-mapped', 'f32'],
];

for (const [name, dtype] of TINY) {
  test(`${name} in ${dtype} with a smaller vocabulary gives the same vectors, to the bit`, async () => {
    const model = `test/${name}`;
    const cases = golden(name).cases.map(({ text }) => text);
    const texts = cases.filter((text) => text.trim() !== '' && !/[\r\n]/.test(text)).slice(0, 3);
    texts.push('a 🧪 light 私x🧪, the');
    assert.equal(texts.length, 4);
    // A line break of Windows, an empty line, and no line break at the end.
    const corpus = written('corpus.txt', `${texts[0]}\r\n\n${texts.slice(1).join('\n')}`);
    const whole = await pulled(model, '--dtype', dtype);
    const cut = await pulled(model, '--dtype', dtype, '--vocabulary', corpus);
    const { bytes, 'pieces of the vocabulary': pieces } = tableIn(cut.stdout);
    assert.equal(rowsIn(cut.folder, dtype), pieces[1]);
    assert.ok(pieces[1] < pieces[0] && bytes[1] < bytes[0], cut.stdout);
    const prompts = new Set(['', ...Object.values((await embedder(whole.folder, { dtype })).prompts)]);
    assert.match(cut.stdout, new RegExp(`^all ${4 * prompts.size} texts of the corpus have the same tokens`, 'm'));
    for (const prompt of prompts) {
      const [a, b] = [
        await vectors(whole.folder, texts, { dtype, prompt }),
        await vectors(cut.folder, texts, { dtype, prompt }),
      ];
      assert.deepEqual(b, a);
    }
    const strange = await vectors(cut.folder, [STRANGE], { dtype });
    assert.ok(strange.tokens[0] > 0 && strange.data.every(Number.isFinite));
  });
}

test('Unigram keeps the lowest score, from which that of unknown characters is computed', async () => {
  const whole = await pulled(UNLIKELY);
  const cut = await pulled(UNLIKELY, '--vocabulary', written('corpus.txt', 'b\u{1f9ea}aol\naol\n'));
  assert.match(cut.stdout, /^all 2 texts of the corpus have the same tokens/m);
  const pieces = (folder) => read(folder, 'tokenizer.json').model.vocab.map(([piece]) => piece);
  assert.ok(['b\u{1f9ea}a', 'aol', 'zzzz'].every((piece) => pieces(cut.folder).includes(piece)));
  assert.ok(pieces(cut.folder).length < pieces(whole.folder).length);
  const texts = ['b\u{1f9ea}aol', 'aol'];
  assert.deepEqual(await vectors(cut.folder, texts), await vectors(whole.folder, texts));
});

test('MiniLM keeps its vectors and its Spearman, and reads words that the corpus lacks by smaller pieces', async (t) => {
  if (!existsSync(MINILM) || !existsSync(STS))
    return t.skip('needs the real MiniLM and the STS sentences (PILOTLIGHT_DATA)');
  const lines = readFileSync(STS, 'utf8').split(/\r?\n/).slice(0, 100);
  // The first pairs have no commas in their sentences.
  const rows = lines.map((line) => line.split(',')).filter((row) => row.length === 3);
  assert.ok(rows.length > 80);
  const texts = rows.flatMap((row) => row.slice(0, 2));
  const corpus = written('corpus.txt', texts.join('\n'));
  const pairs = written('pairs.csv', lines.join('\r\n'));
  const whole = await pulled(LARGE);
  const cut = await pulled(LARGE, '--vocabulary', corpus, '--evaluate', pairs);
  const table = tableIn(cut.stdout);
  assert.ok(table['pieces of the vocabulary'][1] < 4000 && table.bytes[1] < 0.6 * table.bytes[0], cut.stdout);
  assert.equal(table.Spearman[0], table.Spearman[1]);
  assert.ok(table.Spearman[0] > 0.8, cut.stdout);
  assert.equal(rowsIn(cut.folder), table['pieces of the vocabulary'][1]);
  assert.deepEqual(await vectors(cut.folder, texts), await vectors(whole.folder, texts));
  const unseen = ['photosynthesis', 'unbelievable'];
  const [before, after] = [await vectors(whole.folder, unseen), await vectors(cut.folder, unseen)];
  assert.ok(unseen.every((_, index) => after.tokens[index] > before.tokens[index]));
});

test('first dimensions are those of a call that asks for so many', async () => {
  const model = 'test/bert-tiny-mean';
  const whole = await pulled(model);
  const cut = await pulled(model, '--dimensions', '8');
  assert.deepEqual(tableIn(cut.stdout)['floats of a vector'][1], 8);
  const texts = ['a dog by the river', 'light'];
  const [expected, got] = [await vectors(whole.folder, texts, { dimensions: 8 }), await vectors(cut.folder, texts)];
  assert.deepEqual(got.dims, [2, 8]);
  // The vector was normalized before it was cut there, and here only after.
  for (const [index, value] of expected.data.entries()) assert.ok(Math.abs(value - got.data[index]) < 1e-6);
  const more = await pull(model, freshFolder(), '--dimensions', '4096');
  assert.deepEqual([more.code, more.stdout], [2, '']);
  assert.match(more.stderr, /INVALID_INPUT: --dimensions is 4096, expected 1 to \d+/);
});

test('layers are a number or a range from 0, and compared with the whole model', async () => {
  const model = 'test/xlm-roberta-tiny';
  const pairs = written('pairs.csv', sentencePairs());
  const [number, range] = [
    await pulled(model, '--layers', '2'),
    await pulled(model, '--layers', '0-1', '--evaluate', pairs),
  ];
  const weights = 'pilotlight-q8-layers2.safetensors';
  assert.deepEqual(readFileSync(path.join(range.folder, weights)), readFileSync(path.join(number.folder, weights)));
  const [before, after] = tableIn(range.stdout).bytes;
  assert.ok(after < before, range.stdout);
  const [whole, cut] = tableIn(range.stdout).Spearman;
  assert.notEqual(whole, cut);
  // Cut rows and layers go together.
  const corpus = written('corpus.txt', 'light\n');
  const both = await pulled(model, '--layers', '0-1', '--vocabulary', corpus);
  const options = { dtype: 'q8', layers: 2 };
  const [a, b] = [await embedder(number.folder, options), await embedder(both.folder, options)];
  assert.deepEqual((await b.embed('light')).data, (await a.embed('light')).data);
  for (const [layers, message] of [
    ['2-5', /--layers is '2-5', but each layer needs those before it: only ranges from 0 are possible/],
    ['0', /--layers is a whole number from 1 or a range from 0, not '0'/],
    ['0-', /not '0-'/],
    ['two', /not 'two'/],
  ]) {
    const { code, stderr } = await pull(model, freshFolder(), '--layers', layers);
    assert.equal(code, 2);
    assert.match(stderr, message);
  }
});

const sentencePairs = () =>
  Array.from({ length: 24 }, (_, i) => `the dog ${'a '.repeat(i)},"a ""bird"", light",${i % 5}`).join('\n');

test('pairs are CSV with quotes, with or without a line that names the columns', async () => {
  const model = 'test/bert-tiny-mean';
  const plain = sentencePairs();
  const swapped = plain.split('\n').map((row) => row.replace(/^(.*?),(".*"),(\d+)$/, '$3,$2,"$1"'));
  const named = ['score,Sentence2,sentence1', ...swapped].join('\r\n');
  const results = [];
  for (const content of [plain, named, `${plain}\n\n`]) {
    const { stdout } = await pulled(model, '--dimensions', '4', '--evaluate', written('pairs.csv', content));
    results.push(tableIn(stdout).Spearman);
  }
  assert.ok(results[0].every((value) => Math.abs(value) <= 1) && results[0][0] !== results[0][1], String(results));
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
});

test('a corpus or pairs that cannot be read are an error before anything is fetched, and nothing is written', async () => {
  const out = freshFolder();
  mkdirSync(path.join(base, 'folder'), { recursive: true });
  const few = 'a,b,1\nc,d,2\n';
  for (const [option, content, message] of [
    ['vocabulary', '', /has no text, expected one in each line/],
    ['vocabulary', '\n \r\n\n', /has no text/],
    ['vocabulary', Buffer.from([0x61, 0xff, 0xfe, 0x0a]), /is not UTF-8/],
    ['vocabulary', 'a'.repeat((1 << 20) + 1), /has more than 1048576 characters in line 1/],
    ['evaluate', few, /has 2 pairs, expected 24 or more/],
    ['evaluate', 'a,b\n'.repeat(30), /has no sentence1,sentence2,score in row 1/],
    ['evaluate', 'a,b,much\n'.repeat(30), /has no sentence1,sentence2,score in row 1/],
    ['evaluate', 'a,b,1\n'.repeat(30), /has the same score in all pairs/],
    ['evaluate', `a,"b"c,1\n${few}`, /has a quote out of place in row 1/],
    ['evaluate', `a,"b,1\n${few}`, /has a quote out of place in row 1/],
    ['evaluate', Buffer.from([0xff]), /is not UTF-8/],
  ]) {
    const file = written('input', content);
    const { code, stdout, stderr } = await pull('test/bert-tiny-mean', out, '--dimensions', '8', `--${option}`, file);
    assert.deepEqual([code, stdout], [2, ''], stderr);
    assert.ok(stderr.includes(`INVALID_INPUT: --${option}: ${file}`), stderr);
    assert.match(stderr, message);
  }
  for (const option of ['vocabulary', 'evaluate']) {
    for (const [name, message] of [
      ['folder', /is no file/],
      ['nothing', /cannot be read \(ENOENT/],
    ]) {
      const { code, stderr } = await pull('test/bert-tiny-mean', out, '--dimensions', '8', `--${option}`, name);
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  }
  assert.deepEqual(hub.requests, []);
  assert.deepEqual(readdirSync(out), []);
});

test('models whose vocabulary cannot be cut are refused with the reason, and nothing is written', async () => {
  const corpus = written('corpus.txt', 'light\n');
  for (const [model, message] of [
    [
      'test/qwen3-tiny-embedder',
      /UNSUPPORTED_MODEL: --vocabulary: .* its table 'embed_tokens.weight' is also the head of a decoder/,
    ],
    [
      'test/bert-tiny-classifier',
      /UNSUPPORTED_MODEL: .* for sentence encoders, but .* is loaded by SequenceClassifier/,
    ],
  ]) {
    const out = freshFolder();
    const { code, stdout, stderr } = await pull(model, out, '--vocabulary', corpus);
    assert.deepEqual([code, stdout], [1, ''], stderr);
    assert.match(stderr, message);
    assert.deepEqual(
      readdirSync(out).filter((name) => name !== '.pilotlight'),
      [],
    );
  }
});

test('--evaluate needs something to compare, and check takes none of these options', async () => {
  const alone = await pull(LARGE, freshFolder(), '--evaluate', 'pairs.csv');
  assert.equal(alone.code, 2);
  assert.match(alone.stderr, /--evaluate compares what --layers, --vocabulary or --dimensions leave/);
  const checked = await run(['check', LARGE, '--dimensions', '8']);
  assert.equal(checked.code, 2);
  assert.match(checked.stderr, /check writes nothing: leave out --dimensions/);
});

test('a folder never mixes files of a cut model with those of the whole one', async () => {
  const model = 'test/roberta-tiny';
  const out = freshFolder();
  const corpus = written('corpus.txt', 'light\n');
  const lock = () => read(made(out, model), 'pilotlight-lock.json');
  const kept = () => Object.keys(lock().files).filter((file) => file.endsWith('.safetensors'));
  await pull(model, out, '--vocabulary', corpus);
  const { commit } = lock();
  await pull(model, out, '--vocabulary', corpus, '--dtype', 'f32');
  // The same cut in two dtypes may lie side by side.
  assert.deepEqual([lock().commit, kept()], [commit, ['pilotlight-f32.safetensors', 'pilotlight-q8.safetensors']]);
  await pull(model, out, '--dtype', 'f32');
  assert.notEqual(lock().commit, commit);
  assert.deepEqual(kept(), ['pilotlight-f32.safetensors']);
  assert.ok(!existsSync(path.join(made(out, model), 'pilotlight-q8.safetensors')));
  assert.equal((await run(['verify', out])).code, 0);
});
