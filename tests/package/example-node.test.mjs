import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startHub } from '../hub/hub.mjs';
import { HUB_MODELS, ROOT } from './support/models.mjs';

test('examples/node finds the sentences that mean the same', async (t) => {
  const hub = await startHub({ models: HUB_MODELS, port: 0 });
  t.after(() => hub.close());
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(ROOT, 'examples/node/index.mjs'), hub.url]);
  const pairs = stdout.split('\n').filter((line) => line.includes('  |  '));
  assert.equal(pairs.length, 6, stdout);
  const byScore = pairs.toSorted((a, b) => Number.parseFloat(b) - Number.parseFloat(a));
  assert.ok(
    byScore.slice(0, 2).some((line) => /guitar.*instrument/.test(line)),
    stdout,
  );
  assert.ok(
    byScore.slice(0, 2).some((line) => /train.*railway/.test(line)),
    stdout,
  );
  assert.match(stdout, /384 dimensions on cpu, q8/);
});

test('examples/node/routes answers by meaning, and learns its routes once', async (t) => {
  const hub = await startHub({ models: HUB_MODELS, port: 0 });
  t.after(() => hub.close());
  const folder = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-routes-'));
  const servers = [];
  t.after(async () => {
    for (const server of servers) if (server.kill()) await once(server, 'exit');
    rmSync(folder, { recursive: true, force: true });
  });
  const start = async () => {
    const server = spawn(process.execPath, [path.join(ROOT, 'examples/node/routes.mjs'), hub.url], {
      env: { ...process.env, PORT: '0', MODEL_STORE: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    servers.push(server);
    const [line] = await once(server.stdout, 'data');
    const url = String(line).trim();
    return { url, ask: async (text) => (await fetch(url, { method: 'POST', body: text })).json() };
  };
  const { url, ask: first } = await start();
  // A client that leaves before its request is whole takes nothing with it.
  const socket = net.connect(new URL(url).port, 'localhost');
  socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nsend');
  await once(socket, 'connect');
  socket.resetAndDestroy();
  const answer = await first('can I send these boots back?');
  assert.equal(answer.route, 'returns');
  assert.match(answer.answer, /30 days/);
  assert.equal((await first('are you there on Sundays')).route, 'opening hours');
  assert.equal((await first('the senate passed the bill')).route, null);
  hub.setFaults([{ fault: 'reset' }]);
  const { ask: second } = await start();
  assert.deepEqual(await second('can I send these boots back?'), answer);
});
