import { createHash } from 'node:crypto';
import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Dtype } from '../../types/index.js';
import { PilotlightError } from '../error.js';
import { corpusTexts, type Pairs } from './corpus.js';
import { OpenModel } from './open-model.js';
import { cutRows, idsOf, openPacked, tableOf } from './rows.js';
import { cutTokenizer, medianLength, parseTokenizer, refused } from './tokenizer-json.js';
import { keptVocabulary } from './vocabulary.js';

/** The parts of a sentence encoder that are to be kept. */
export interface CutOptions {
  /** The file with the texts, one a line, whose pieces of the vocabulary are kept. */
  vocabulary?: string;
  /** The number of leading values that are kept of each vector. */
  dimensions?: number;
}

/** The sizes and scores of a model before its parts were cut off, and after. */
export interface Change {
  bytes: number;
  dimensions: number;
  pieces?: number;
  spearman?: number;
}

export interface Cut {
  /** The files in the folder, which may be more than before. */
  files: string[];
  before: Change;
  after: Change;
  /** The texts of the corpus, each counted with each prompt, and how many of them have other tokens than before. */
  texts?: { all: number; changed: number };
  /** The stand-in for the commit of the cut files; `undefined` where only layers were left out. */
  commit?: string;
}

interface CutFolder extends CutOptions {
  folder: string;
  files: readonly string[];
  commit: string;
  dtype: Dtype;
  layers?: number;
  /** The bytes of the whole model, where the folder has only its first layers. */
  wholeBytes?: number;
  pairs?: Pairs;
  signal: AbortSignal;
  /** Loads the model as it was pulled, or the whole one that has all layers. */
  open(whole: boolean): Promise<OpenModel>;
}

const PROMPTS = 'config_sentence_transformers.json';
const TOKENIZER = 'tokenizer.json';

/** Texts that are tokenized at a time. */
const AT_ONCE = 512;

/** Cuts a pulled model in its folder, loads the result, and compares both. */
export async function cutFolder(options: CutFolder): Promise<Cut> {
  const { folder, vocabulary, dimensions, pairs, signal } = options;
  const files = [...options.files];
  const before: Change = { bytes: options.wholeBytes ?? (await bytesOf(folder, files)), dimensions: 0 };
  const model = await options.open(false);
  let rows: RowsLeft | undefined;
  try {
    before.dimensions = model.dimensions;
    if (dimensions !== undefined && dimensions > model.dimensions)
      throw new PilotlightError('INVALID_INPUT', `--dimensions is ${dimensions}, expected 1 to ${model.dimensions}`);
    if (pairs) before.spearman = await spearmanOf(options, model, pairs);
    if (vocabulary !== undefined) rows = await cutVocabulary(folder, files, vocabulary, model);
  } finally {
    model.dispose();
  }
  if (dimensions !== undefined) await cutDimensions(folder, files, dimensions);

  const cut = await OpenModel.fromFiles(folder, files, options);
  try {
    const after: Change = { bytes: await bytesOf(folder, files), dimensions: cut.dimensions };
    if (pairs) after.spearman = await cut.spearman(pairs);
    if (!rows && dimensions === undefined) return { files, before, after };
    const result: Cut = { files, before, after, commit: commitOf(options, rows?.ids) };
    if (!rows || vocabulary === undefined) return result;
    before.pieces = rows.pieces;
    after.pieces = rows.ids.length;
    return { ...result, texts: await compared(vocabulary, cut, rows, signal) };
  } finally {
    cut.dispose();
  }
}

async function spearmanOf({ layers, open }: CutFolder, model: OpenModel, pairs: Pairs): Promise<number> {
  if (layers === undefined) return model.spearman(pairs);
  const whole = await open(true);
  try {
    return await whole.spearman(pairs);
  } finally {
    whole.dispose();
  }
}

async function bytesOf(folder: string, files: readonly string[]): Promise<number> {
  const found = await Promise.all(files.map((file) => stat(path.join(folder, file))));
  return found.reduce((sum, { size }) => sum + size, 0);
}

/** Names the files of a cut as a commit does, so that a page does not take them for those of the whole model. */
function commitOf({ commit, dimensions }: CutFolder, ids: number[] | undefined): string {
  return createHash('sha256')
    .update(JSON.stringify([commit, dimensions ?? null, ids ?? null]))
    .digest('hex')
    .slice(0, 40);
}

interface RowsLeft {
  /** The number of rows before. */
  pieces: number;
  /** The ids that were kept, by their new ids. */
  ids: number[];
  /** A hash of the tokens of each text. */
  hashes: number[];
}

async function cutVocabulary(folder: string, files: string[], corpus: string, model: OpenModel): Promise<RowsLeft> {
  const weights = files.filter((file) => /^pilotlight-.*\.safetensors$/.test(file));
  const [file] = weights;
  if (file === undefined || weights.length > 1) throw refused(`it has ${weights.length} files of weights`);
  if (!files.includes(TOKENIZER)) throw refused(`it has no ${TOKENIZER}`);
  const text = await readFile(path.join(folder, TOKENIZER), 'utf8');
  const tokenizer = parseTokenizer(text);
  const json = async (name: string) =>
    files.includes(name) ? JSON.parse(await readFile(path.join(folder, name), 'utf8')) : undefined;
  const [config, settings] = [await json('config.json'), await json('tokenizer_config.json')];

  const used = new Set<number>();
  const hashes: number[] = [];
  for await (const tokens of tokenized(corpus, model)) {
    for (const id of tokens) used.add(id);
    hashes.push(hashOf(tokens));
  }

  const packed = await openPacked(path.join(folder, file));
  let kept: ReturnType<typeof keptVocabulary>;
  let table: string;
  let pieces: number;
  try {
    table = tableOf(packed);
    pieces = idsOf(packed, table);
    kept = keptVocabulary(tokenizer, used, configIds(config), pieces);
  } catch (error) {
    await packed.handle.close();
    throw error;
  }
  await cutRows(path.join(folder, file), packed, table, kept.ids);

  // model2vec cuts long texts by this number, which the smaller vocabulary would change.
  if (config?.model_type === 'model2vec') config.median_token_length ??= medianLength(tokenizer);
  const renumbered = new Map(kept.ids.map((id, place) => [id, place]));
  cutTokenizer(tokenizer, renumbered, kept.merges);
  await replace(folder, TOKENIZER, tokenizer);
  if (config) await replace(folder, 'config.json', cutConfig(config, renumbered));
  const decoded = settings?.added_tokens_decoder;
  if (decoded) {
    const entries = Object.entries(decoded).map(([id, token]) => [renumbered.get(Number(id)) ?? id, token]);
    settings.added_tokens_decoder = Object.fromEntries(entries);
    await replace(folder, 'tokenizer_config.json', settings);
  }
  return { pieces, ids: kept.ids, hashes };
}

type Config = Record<string, unknown>;

const TOKEN_ID = /_token_ids?$/;

/** The ids in `config.json`, and those up to that of the padding where positions are counted from it. */
function configIds(config: Config = {}): number[] {
  const named = Object.entries(config).filter(([key]) => TOKEN_ID.test(key));
  const ids = named.flatMap(([, value]) => value).filter((id) => typeof id === 'number');
  if (!/^(camembert|roberta|xlm-roberta|mpnet)$/.test(String(config.model_type))) return ids;
  const padding = typeof config.pad_token_id === 'number' ? config.pad_token_id : 1;
  return [...ids, ...Array(padding + 1).keys()];
}

function cutConfig(config: Config, renumbered: ReadonlyMap<number, number>): Config {
  const anew = (id: unknown): unknown => renumbered.get(id as number) ?? id;
  const entries = Object.entries(config).map(([key, value]) => {
    if (!TOKEN_ID.test(key)) return [key, value];
    return [key, Array.isArray(value) ? value.map(anew) : anew(value)];
  });
  const cut = Object.fromEntries(entries);
  // A static embedding has no such key; any other architecture takes the original number where it is missing.
  if (config.model_type !== 'model2vec') cut.vocab_size = renumbered.size;
  return cut;
}

async function cutDimensions(folder: string, files: string[], dimensions: number): Promise<void> {
  const there = files.includes(PROMPTS);
  const config = there ? JSON.parse(await readFile(path.join(folder, PROMPTS), 'utf8')) : {};
  await replace(folder, PROMPTS, { ...config, truncate_dim: dimensions, truncate_normalized: true });
  if (!there) files.push(PROMPTS);
}

async function replace(folder: string, file: string, json: object): Promise<void> {
  const [to, unfinished] = [path.join(folder, file), path.join(folder, `${file}.cut`)];
  await writeFile(unfinished, JSON.stringify(json), { flush: true });
  await rename(unfinished, to);
}

/** The tokens of each text of the corpus, alone and after each prompt. */
async function* tokenized(corpus: string, model: OpenModel): AsyncGenerator<Uint32Array> {
  let texts: string[] = [];
  for await (const text of corpusTexts(corpus)) {
    texts.push(...model.prompts.map((prompt) => prompt + text));
    if (texts.length < AT_ONCE) continue;
    yield* await model.tokens(texts);
    texts = [];
  }
  if (texts.length > 0) yield* await model.tokens(texts);
}

/** Counts the texts that the cut model tokenizes otherwise than the whole one. */
async function compared(
  corpus: string,
  cut: OpenModel,
  { ids, hashes }: RowsLeft,
  signal: AbortSignal,
): Promise<{ all: number; changed: number }> {
  let [all, changed] = [0, 0];
  for await (const tokens of tokenized(corpus, cut)) {
    signal.throwIfAborted();
    if (hashOf(tokens.map((id) => ids[id] ?? -1)) !== hashes[all]) changed += 1;
    all += 1;
  }
  return { all, changed };
}

/** FNV-1a of ids, 32 bits. */
function hashOf(ids: Uint32Array): number {
  let hash = 0x811c9dc5;
  for (const id of ids) {
    for (let shift = 0; shift < 24; shift += 8) hash = Math.imul(hash ^ ((id >>> shift) & 255), 0x01000193);
  }
  return hash >>> 0;
}
