// The packed file of a model, made by the package's own command.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const cli = fileURLToPath(new URL('../node_modules/pilotlight/cli.js', import.meta.url));

export async function packModel(model, host) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'pilotlight-packed-'));
  await promisify(execFile)(process.execPath, [cli, 'pull', model, '--host', host, '--out', folder]);
  const file = await readFile(path.join(folder, model, 'resolve/main/pilotlight-q8.safetensors'));
  await rm(folder, { recursive: true });
  return file;
}
