import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { cores } from '#runtime';
import type { Dtype, LoadProgress, StoredModel, TextLoadOptions, Verified } from '../../types/index.js';
import { Decoder } from '../decoder.js';
import { PilotlightError, toPilotlightError } from '../error.js';
import { ImageTextEmbedder } from '../image-text-embedder.js';
import { models } from '../models.js';
import { SequenceClassifier } from '../sequence-classifier.js';
import { TextEmbedder } from '../text-embedder.js';
import type { Pairs } from './corpus.js';
import { type Cut, type CutOptions, cutFolder } from './cut.js';
import { syncFolder, writeThrough } from './disk.js';
import { fileStore } from './file-store.js';
import { describe, isPacked, LOCK, type Lock, type Origin, readLock } from './lock.js';
import { OpenModel } from './open-model.js';

export interface PullOptions extends CutOptions {
  model: string;
  dtype: Dtype;
  revision: string;
  /** The commit to take in place of the one that the revision points to now. */
  commit?: string;
  host: string;
  /** The number of layers of a sentence encoder to pull; default all. */
  layers?: number;
  /** The file that the weights are read from; default as in `LoadOptions`. */
  weights?: string;
  /** Whether an ONNX file whose weights have 8 bits may be read. */
  lossy?: true;
  token?: string;
  /** The pairs by which the model is compared before and after parts of it are cut off. */
  pairs?: Pairs;
  /** The folder that will hold `{model}/resolve/{revision}/{file}`. */
  out: string;
  signal: AbortSignal;
  onProgress(event: LoadProgress): void;
}

export interface Pulled {
  /** The folder with the files. */
  folder: string;
  commit: string;
  /** The level at which the model was verified when it was fetched. */
  verified: Verified | undefined;
  /** The content of the lock file that was written. */
  lock: Lock;
  /** The parts that became smaller; absent where the model is whole. */
  cut?: Cut;
}

/** The folder inside `out` that holds the files of a model. */
export function folderOf({ out, model, revision }: Pick<PullOptions, 'out' | 'model' | 'revision'>): string {
  return path.join(out, ...model.split('/'), 'resolve', ...revision.split('/'));
}

/** The origin of the weights that these options ask for. */
export const originOf = ({
  host,
  weights = 'auto',
  lossy,
}: Pick<PullOptions, 'host' | 'weights' | 'lossy'>): Origin => ({
  host,
  ...(weights !== 'auto' && { weights }),
  ...(lossy && { lossy }),
});

/** The folder inside `out` with the partial downloads of pulls. */
export const WORK = '.pilotlight';
const STORE = 'store';
/** The folder with the store of the whole model, where one of fewer layers is compared with it. */
const WHOLE = 'whole';

/** Loads a model as a page would, and writes the packed files, from which a page loads it with the least work. */
export async function pull(options: PullOptions): Promise<Pulled> {
  const work = path.join(options.out, WORK, nameOf(options));
  try {
    const pulled = await pullBy(work, options);
    await rm(work, { recursive: true, force: true });
    return pulled;
  } finally {
    // `rmdir` fails on purpose where a folder still holds a partial download.
    for (const folder of [path.join(work, STORE), path.join(work, WHOLE), work, path.dirname(work)])
      await rmdir(folder).catch(() => {});
  }
}

const CLASSES = { TextEmbedder, ImageTextEmbedder, Decoder, SequenceClassifier };

async function pullBy(work: string, options: PullOptions): Promise<Pulled> {
  const { out: _, vocabulary, dimensions, pairs, commit: pinned, ...rest } = options;
  const loading = { ...rest, revision: pinned ?? rest.revision };
  const { model, dtype, layers, signal } = loading;
  const store = fileStore(path.join(work, STORE));
  const load = { ...loading, device: 'cpu', store } satisfies TextLoadOptions;
  const { class: name } = await models.plan(model, load);
  const isCut = vocabulary !== undefined || dimensions !== undefined;
  if ((isCut || pairs) && name !== 'TextEmbedder')
    throw new PilotlightError(
      'UNSUPPORTED_MODEL',
      `--vocabulary, --dimensions and --evaluate are for sentence encoders, but ${model} is loaded by ${name}`,
    );
  const loaded = await CLASSES[name].load(model, load);
  loaded.dispose();

  // The work folder belongs to these options, so its store holds this model, or its parts, and no other.
  const parts = (await models.list({ store })).filter(({ whole }) => whole);
  const [stored] = parts;
  if (!stored) throw new Error(`${model} (${dtype}) was loaded, but is not in ${work}`);
  const made = path.join(work, 'made');
  const keys = parts.map(({ key }) => key);
  const files = await exportTo(made, keys, store, signal);
  let cut: Cut | undefined;
  if (isCut || (layers !== undefined && name === 'TextEmbedder')) {
    const { layers: __, ...whole } = { ...load, store: fileStore(path.join(work, WHOLE)) };
    // A host may have these layers alone, and then only the evaluation needs the others.
    const wholeBytes =
      layers === undefined
        ? undefined
        : await models.plan(model, whole).then(
            ({ storeBytes }) => storeBytes,
            (error: unknown) => {
              if (pairs) throw error;
            },
          );
    cut = await cutFolder({
      folder: made,
      files,
      commit: stored.commit,
      dtype,
      signal,
      open: (all) => OpenModel.load(model, all ? whole : load),
      ...(layers !== undefined && { layers }),
      ...(wholeBytes !== undefined && { wholeBytes }),
      ...(vocabulary !== undefined && { vocabulary }),
      ...(dimensions !== undefined && { dimensions }),
      ...(pairs && { pairs }),
    });
  }
  const folder = folderOf(options);
  const lock = await lay(made, cut?.files ?? files, folder, cut?.commit ?? stored.commit, originOf(options));
  return { folder, commit: cut?.commit ?? stored.commit, verified: weakest(parts), lock, ...(cut && { cut }) };
}

const STRENGTH: readonly (Verified | undefined)[] = [undefined, 'length', 'lock', 'sha256'];

function weakest(parts: readonly StoredModel[]): Verified | undefined {
  return STRENGTH.find((verified) => parts.some((part) => part.verified === verified));
}

/** Names the work folder of a pull by its options: no two pulls share one, and a repeated pull resumes its own. */
function nameOf(options: PullOptions): string {
  const { host, model, revision, commit, dtype, layers, weights, lossy, vocabulary, dimensions } = options;
  const corpus = vocabulary === undefined ? undefined : path.resolve(vocabulary);
  const others = [
    ...(weights === undefined ? [] : [weights]),
    ...(lossy ? [{ lossy }] : []),
    ...(commit === undefined ? [] : [{ commit }]),
    ...(corpus === undefined && dimensions === undefined ? [] : [{ corpus, dimensions }]),
  ];
  return createHash('sha256')
    .update(JSON.stringify([host, model, revision, dtype, layers, ...others]))
    .digest('hex')
    .slice(0, 16);
}

/** Writes the files of stored models, or parts of one, into an empty folder and returns their paths. */
async function exportTo(
  folder: string,
  keys: string[],
  store: ReturnType<typeof fileStore>,
  signal: AbortSignal,
): Promise<string[]> {
  await rm(folder, { recursive: true, force: true });
  const files: string[] = [];
  let current: string | undefined;
  let handle: FileHandle | undefined;
  let failure: unknown;

  async function close(): Promise<void> {
    await handle?.sync();
    await handle?.close();
    handle = undefined;
  }

  /** Writes a piece of a file. Pieces come file after file. */
  async function take(file: string, bytes: Uint8Array): Promise<void> {
    try {
      signal.throwIfAborted();
      if (file !== current) {
        await close();
        current = file;
        // Parts of a model share their config.
        if (files.includes(file)) return;
        files.push(file);
        await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
        handle = await open(path.join(folder, file), 'wx');
      }
      await handle?.writeFile(bytes);
    } catch (error) {
      // Rust would pass on only its message.
      failure = error;
      throw error;
    }
  }

  try {
    const instance = await cores.cpu.instance();
    for (const key of keys) {
      await instance.run(({ exportModel }) => exportModel(key, take, { store }));
      await close();
      current = undefined;
    }
  } catch (error) {
    await handle?.close();
    throw failure ?? toPilotlightError(error);
  }
  return files;
}

/**
 * Moves finished files to where they are served, the lock file last. Files of the same commit that are there already stay listed,
 * so that several dtypes can be served; listed files of another commit are removed.
 */
async function lay(from: string, files: string[], folder: string, commit: string, origin: Origin): Promise<Lock> {
  // A lock file that cannot be read is replaced.
  const before = await readLock(folder).catch(() => undefined);
  const listed = before?.commit === commit ? { ...before.files } : {};
  for (const file of files)
    listed[file] = { ...(await describe(path.join(from, file))), ...(isPacked(file) && { from: origin }) };
  const sorted = Object.entries(listed).sort(([a], [b]) => (a < b ? -1 : 1));
  const lock: Lock = { version: 1, commit, files: Object.fromEntries(sorted) };

  for (const file of files) {
    const to = path.join(folder, file);
    await mkdir(path.dirname(to), { recursive: true });
    await rename(path.join(from, file), to);
    await syncFolder(path.dirname(to));
  }
  for (const file of Object.keys(before?.files ?? {})) {
    if (!(file in listed)) await rm(path.join(folder, file), { force: true });
  }
  await writeThrough(path.join(from, LOCK), Buffer.from(`${JSON.stringify(lock)}\n`));
  await rename(path.join(from, LOCK), path.join(folder, LOCK));
  await syncFolder(folder);
  return lock;
}
