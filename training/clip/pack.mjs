// Packs the trained towers to int8 as `pilotlight pull` does for anyone's own host, and lays them beside their small files.
//
//   node training/clip/pack.mjs TRAINED OUT
//
// `model.safetensors` is in TRAINED, configs and tokenizer are in OUT.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createHub } from '../../tests/hub/hub.mjs';

const MODEL = 'pilotlight/tiny-clip';
const SMALL = ['config.json', 'preprocessor_config.json', 'tokenizer.json'];

const [trained, out] = process.argv.slice(2);
if (!out) throw new Error('usage: node training/clip/pack.mjs TRAINED OUT');
const files = Object.fromEntries(SMALL.map((name) => [name, readFileSync(path.join(out, name))]));
files['model.safetensors'] = readFileSync(path.join(trained, 'model.safetensors'));

const hub = createHub({ prefix: '', models: { [MODEL]: files } });
const server = createServer((request, response) => hub.handle(request, response));
await once(server.listen(0, '127.0.0.1'), 'listening');
const work = mkdtempSync(path.join(os.tmpdir(), 'tiny-clip-'));
try {
  const host = `http://127.0.0.1:${server.address().port}`;
  const pull = spawn(
    process.execPath,
    ['node_modules/pilotlight/cli.js', 'pull', MODEL, '--host', host, '--out', work],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const [status] = await once(pull, 'exit');
  if (status !== 0) throw new Error('the model could not be packed');
  const made = path.join(work, MODEL, 'resolve/main');
  for (const file of readdirSync(made)) copyFileSync(path.join(made, file), path.join(out, file));
} finally {
  rmSync(work, { recursive: true });
  server.close();
  server.closeAllConnections();
}
