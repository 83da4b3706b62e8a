import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root folder. */
export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
/** The folder with the build's intermediate files, which are kept between runs. */
export const KEPT = path.join(ROOT, 'target/pkg');
/** The folder with the package as it is published. */
export const PACKAGE = path.join(ROOT, 'dist/package');

/** Runs a program in the repository root with its output on the terminal; throws when it fails. */
export function run(program, args) {
  start(program, args, { stdio: 'inherit' });
}

/** Runs a program like `run`, while others run beside it. */
export async function runBeside(program, args) {
  await closed(spawn(program, args, { cwd: ROOT, stdio: 'inherit' }), program, args);
}

/**
 * Starts a program in the background, at a lower priority than this one. `ended` rejects when the program fails; `stop` ends it and all
 * that it has started, which signals from the terminal do not reach.
 */
export function startGroup(program, args) {
  const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'], detached: true });
  if (child.pid) os.setPriority(child.pid, os.constants.priority.PRIORITY_BELOW_NORMAL);
  return {
    ended: closed(child, program, args),
    stop() {
      if (child.pid && child.exitCode === null && child.signalCode === null) process.kill(-child.pid);
    },
  };
}

/** Runs a program and returns what it printed. */
export function ask(program, args) {
  // The output is large: `cargo metadata` prints megabytes.
  return start(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 }).trim();
}

function start(program, args, options) {
  const { status, signal, error, stdout } = spawnSync(program, args, { cwd: ROOT, ...options });
  if (error) throw error;
  check(program, args, status, signal);
  return stdout;
}

async function closed(child, program, args) {
  const [status, signal] = await once(child, 'close');
  check(program, args, status, signal);
}

function check(program, args, status, signal) {
  if (status !== 0) throw new Error(`${path.basename(program)} ${args[0]} failed (${signal ?? `status ${status}`})`);
}

/** All files under `folders`, as sorted paths relative to the root. */
export function filesUnder(...folders) {
  const found = folders.flatMap((folder) => {
    const full = path.join(ROOT, folder);
    if (!existsSync(full)) return [];
    return readdirSync(full, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)));
  });
  return found.sort();
}

/** Makes one digest of texts and of files, which are given by paths relative to the root; it covers their names and contents. */
export function digest({ texts = [], files = [] }) {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${text}\0`);
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(path.join(ROOT, file)))
      .update('\0');
  return hash.digest('hex');
}

const stampOf = (output) => `${output}.inputs`;

/** Whether `output` was made from these inputs already; the digest of the inputs is kept beside it. */
export function isDone(output, inputs) {
  const stamp = stampOf(output);
  return existsSync(output) && existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs;
}

/** Runs `work` unless `output` was made from the same inputs already. */
export async function unlessDone(output, inputs, work) {
  if (isDone(output, inputs)) return;
  const stamp = stampOf(output);
  rmSync(stamp, { force: true });
  mkdirSync(path.dirname(output), { recursive: true });
  await work();
  if (!existsSync(output)) throw new Error(`nothing was written to ${path.relative(ROOT, output)}`);
  writeFileSync(stamp, inputs);
}
