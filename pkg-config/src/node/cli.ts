#!/usr/bin/env node
import { parseArgs } from 'node:util';
import type { Dtype } from '../../types/index.js';
import { version } from '../version.js';
import { check } from './check.js';
import { checkCorpus, readPairs } from './corpus.js';
import { tableOfCut } from './cut-table.js';
import { megabytes, ProgressLine } from './progress.js';
import { pull } from './pull.js';
import { verify } from './verify.js';

const HELP = `pilotlight ${version}

  pilotlight pull MODEL [options]   fetches a model and writes a folder that any static host can serve
      --dtype q8|q4|f16|f32         how the weights are kept (q8)
      --layers NUMBER|0-LAST        only the first layers of a sentence encoder, for load({ layers }) (all)
      --vocabulary FILE             only the rows of the vocabulary that the texts in FILE need, one text a
                                    line, and all single characters and bytes
      --dimensions NUMBER           only the first values of each vector (for Matryoshka models)
      --evaluate FILE               with one of these three: how well cosines agree with people (Spearman),
                                    before and after; lines of FILE are sentence1,sentence2,score
      --weights auto|safetensors|pytorch|gguf|onnx|FILE   the file that the weights are read from (auto)
      --lossy                       also from an ONNX file whose weights have 8 bits
      --out DIR                     the folder (.); files come to DIR/MODEL/resolve/REVISION/
      --revision REVISION           branch, tag or commit (main)
      --host URL                    where the model is (https://huggingface.co)
      --token-env NAME              the environment variable with the host's token (HF_TOKEN)

  pilotlight check MODEL [options]  says which class loads a model, from which files, and what it takes, or
                                    why it cannot be loaded; the options are those of pull, without --out,
                                    --vocabulary, --dimensions and --evaluate

  pilotlight verify DIR             checks the files that the lock files below DIR list

  pilotlight --help, --version

A pull that was broken off goes on when the same command is given again. A page loads the result with
TextEmbedder.load(MODEL, { host }), or that of ImageTextEmbedder for CLIP and SigLIP, where host is the
address of DIR.
Exit code: 0 done, 1 failed or something is wrong, 2 wrong usage.
`;

/** A command line with a wrong command, argument or option. */
class UsageError extends Error {}

async function main(words: string[]): Promise<number> {
  const [command, ...rest] = words;
  if (words.includes('--help') || words.includes('-h')) return say(HELP);
  if (command === '--version') return say(`${version}\n`);
  if (command === 'pull') return pullCommand(rest);
  if (command === 'check') return checkCommand(rest);
  if (command === 'verify') return verifyCommand(rest);
  throw new UsageError(command === undefined ? 'a command is missing' : `there is no command '${command}'`);
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

/** The model of a command and how it is to be loaded. */
interface ModelWords {
  model: string;
  dtype: Dtype;
  revision: string;
  host: string;
  layers?: number;
  vocabulary?: string;
  dimensions?: number;
  evaluate?: string;
  weights?: string;
  lossy?: true;
  token?: string;
  out: string;
}

/** The options that only `pull` has. */
const OF_PULL = ['out', 'vocabulary', 'dimensions', 'evaluate'] as const;

/** The number of layers in `4` or `0-3`. */
function layersIn(words: string): number {
  const [, first, last = ''] = /^(?:(\d{1,3})-)?(\d{1,3})$/.exec(words) ?? [];
  if (first !== undefined && Number(first) > 0)
    throw new UsageError(
      `--layers is '${words}', but each layer needs those before it: only ranges from 0 are possible`,
    );
  const count = Number(last) + (first === undefined ? 0 : 1);
  if (last === '' || count === 0)
    throw new UsageError(`--layers is a whole number from 1 or a range from 0, not '${words}'`);
  return count;
}

/** Reads the words of a command that takes a model. */
function modelWords(command: string, words: string[]): ModelWords {
  const text = { type: 'string' } as const;
  if (words.some((word) => /^--token(=|$)/.test(word))) {
    throw new UsageError(
      'a token on the command line can be read by others: put it into the environment variable HF_TOKEN',
    );
  }
  const { values, positionals } = parse({
    args: words,
    allowPositionals: true,
    options: {
      dtype: text,
      layers: text,
      vocabulary: text,
      dimensions: text,
      evaluate: text,
      weights: text,
      lossy: { type: 'boolean' },
      out: text,
      revision: text,
      host: text,
      'token-env': text,
    },
  });
  const [model, ...more] = positionals;
  if (model === undefined || more.length > 0)
    throw new UsageError(`${command} takes one MODEL, for example sentence-transformers/all-MiniLM-L6-v2`);
  const foreign = OF_PULL.find((name) => command !== 'pull' && values[name] !== undefined);
  if (foreign) throw new UsageError(`${command} writes nothing: leave out --${foreign}`);
  const { dtype = 'q8', out = '.', revision = 'main', host = 'https://huggingface.co' } = values;
  if (!['q8', 'q4', 'f16', 'f32'].includes(dtype))
    throw new UsageError(`--dtype is q8, q4, f16 or f32, not '${dtype}'`);
  const { layers, vocabulary, dimensions, evaluate, weights } = values;
  if (dimensions !== undefined && !/^[1-9]\d{0,4}$/.test(dimensions))
    throw new UsageError(`--dimensions is a whole number from 1, not '${dimensions}'`);
  if (evaluate !== undefined && (layers ?? vocabulary ?? dimensions) === undefined)
    throw new UsageError('--evaluate compares what --layers, --vocabulary or --dimensions leave: give one of them');
  if (!/^https?:\/\//.test(host) || !URL.canParse(host))
    throw new UsageError(`--host is an address such as https://huggingface.co, not '${host}'`);
  const token = tokenOf(values['token-env']);
  return {
    model,
    dtype: dtype as Dtype,
    revision,
    host,
    out,
    ...(layers !== undefined && { layers: layersIn(layers) }),
    ...(vocabulary !== undefined && { vocabulary }),
    ...(dimensions !== undefined && { dimensions: Number(dimensions) }),
    ...(evaluate !== undefined && { evaluate }),
    ...(weights !== undefined && { weights }),
    ...(values.lossy && { lossy: true as const }),
    ...(token !== undefined && { token }),
  };
}

async function checkCommand(words: string[]): Promise<number> {
  const { out: _, ...options } = modelWords('check', words);
  return say(await check(options));
}

async function pullCommand(words: string[]): Promise<number> {
  const { evaluate, ...options } = modelWords('pull', words);
  const aborter = new AbortController();
  // A second signal ends the process as usual.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => aborter.abort());
  const line = new ProgressLine(process.stderr);
  try {
    // An invalid file is an error before anything is fetched.
    const pairs = evaluate === undefined ? undefined : await readPairs(evaluate);
    if (options.vocabulary !== undefined) await checkCorpus(options.vocabulary);
    const { folder, commit, verified, lock, cut } = await pull({
      ...options,
      ...(pairs && { pairs }),
      signal: aborter.signal,
      onProgress: (event) => line.show(event),
    });
    line.end();
    if (cut) say(tableOfCut(cut));
    const bytes = Object.values(lock.files).reduce((sum, { size }) => sum + size, 0);
    return say(
      `${folder}: ${Object.keys(lock.files).length} files, ${megabytes(bytes)} MB, commit ${commit}, checked by ${verified}\n`,
    );
  } catch (error) {
    line.end();
    if (!aborter.signal.aborted) throw error;
    process.stderr.write('pilotlight: stopped; the same command goes on from here\n');
    return 1;
  }
}

/** Reads the token from the environment, where other users cannot see it. */
function tokenOf(name: string | undefined): string | undefined {
  const token = process.env[name ?? 'HF_TOKEN']?.trim();
  if (name !== undefined && !token) throw new UsageError(`the environment variable ${name} has no token`);
  return token || undefined;
}

async function verifyCommand(words: string[]): Promise<number> {
  const { positionals } = parse({ args: words, allowPositionals: true, options: {} });
  const [folder, ...more] = positionals;
  if (folder === undefined || more.length > 0) throw new UsageError('verify takes one DIR');
  const counts = { ok: 0, wrong: 0, unlisted: 0 };
  for await (const { file, state, words } of verify(folder)) {
    counts[state] += 1;
    say(`${state.padEnd(8)}  ${file}: ${words}\n`);
  }
  const { ok, wrong, unlisted } = counts;
  if (ok + wrong + unlisted === 0) throw new Error(`there is no lock file below ${folder}`);
  say(
    `${ok + wrong} files checked: ${wrong === 0 ? 'all as they should be' : `${wrong} wrong`}${unlisted ? `, and ${unlisted} that no lock file lists` : ''}\n`,
  );
  return wrong === 0 ? 0 : 1;
}

/** Node's `parseArgs`, but it throws a `UsageError`. */
const parse: typeof parseArgs = (config) => {
  try {
    return parseArgs(config);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
};

/** Describes an error in one line, with its code where it has one. */
function wordsOf(error: unknown): string {
  const { code, message } = Object(error) as { code?: string; message?: string };
  const words = String(message ?? error).replaceAll(/\s*\n\s*/g, ' ');
  return code && !words.startsWith(code) ? `${code}: ${words}` : words;
}

main(process.argv.slice(2)).then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    // Invalid names of models and revisions are found only while loading, and are wrong usage too.
    const usage = error instanceof UsageError || Object(error).code === 'INVALID_INPUT';
    process.exitCode = usage ? 2 : 1;
    process.stderr.write(`pilotlight: ${wordsOf(error)}\n`);
    if (usage) process.stderr.write('pilotlight --help says how to use it\n');
  },
);
