/** The check that no log has a key, a secret or a text, which each host of a test makes where it ends: it finds what it is for. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createGateway } from '../src/app.ts';
import { call, keyFor } from './support/app.ts';
import { echo } from './support/echo.ts';
import { testHost } from './support/host.ts';
import { checkLogs, keepLogs, watch, watchBody } from './support/logs.ts';
import { lacking } from './support/needs.ts';
import { commandOf, startServer } from './support/servers.ts';
import { NAME, startWorker } from './support/worker.ts';

const log = (line: object) => console.log(JSON.stringify({ level: 'info', ...line }));

/** Asks a host, and ends it. */
async function ended(write: (given: { key: string; text: string; secret: string }) => void): Promise<void> {
  const [text, secret] = ['a text that nobody logs', 'sk-that-nobody-logs'];
  const host = await testHost();
  host.secrets.set('KEY', secret);
  const key = await keyFor(host);
  const json = { model: 'stub', input: ['short', text] };
  const response = await call(createGateway(host, [echo]), 'POST', '/v1/echo', { key, json });
  assert.equal(response.status, 200);
  write({ key, text, secret });
  await host[Symbol.asyncDispose]();
}

test('a host whose lines have none of them ends', async () => {
  using logs = keepLogs();
  await ended(() => {});
  assert.match(logs.lines.join(), /"route":"\/v1\/echo"/);
});

for (const [name, line] of [
  ['a text', ({ text }) => ({ message: `cannot read ${text}` })],
  ['the start of a text', ({ text }) => ({ message: text.slice(0, 40) })],
  ['a key', ({ key }) => ({ key })],
  ['the secret of a key', ({ key }) => ({ hash: key.slice(16, 48) })],
  ['the secret of an upstream', ({ secret }) => ({ headers: { authorization: `Bearer ${secret}` } })],
] as [string, (given: { key: string; text: string; secret: string }) => object][]) {
  test(`a host with ${name} in a line does not end well`, async () => {
    await assert.rejects(
      ended((given) => log(line(given))),
      /a line of a log has/,
    );
  });
}

test('what a test has kept is checked too, and text is found as JSON writes it', () => {
  watchBody('{"model":"stub","input":"a \\"quoted\\" line\\nand another"}');
  {
    using logs = keepLogs();
    log({ message: 'a "quoted" line\nand another' });
    assert.equal(logs.lines.length, 1);
  }
  assert.throws(checkLogs, /a line of a log has/);
  assert.doesNotThrow(checkLogs);
});

test('the lines of a server are checked', { skip: lacking('minilm') }, async () => {
  // A server that prints what it parses.
  const leak =
    'const { parse } = JSON; JSON.parse = (...given) => { console.error(given[0]); return parse(...given); };';
  const [program = '', ...words] = commandOf('node');
  const server = await startServer([program, '--import', `data:text/javascript,${encodeURIComponent(leak)}`, ...words]);
  const response = await fetch(`${server.url}/v1/embeddings`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await server.key()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'all-MiniLM-L6-v2', input: 'a text for a server' }),
  });
  assert.equal(response.status, 200);
  await response.body?.cancel();
  await assert.rejects(async () => server[Symbol.asyncDispose](), /a line of a log has "a text for a server"/);
});

test('the lines of a workerd are checked', async () => {
  const script =
    'export default { async fetch(request) { console.error(await request.text()); return new Response(); } }';
  const folder = mkdtempSync(join(tmpdir(), 'gateway-logs-'));
  try {
    writeFileSync(join(folder, 'script.js'), 'export class KeyMeter {} export class Metrics {} export default {};');
    const bundle = { folder, script: 'script.js' };
    const front = [
      {
        name: 'front',
        modules: true as const,
        script,
        compatibilityDate: '2026-07-01',
        serviceBindings: { GATEWAY: NAME },
      },
    ];
    const worker = await startWorker({ bundle, front });
    watch('a text for workerd');
    await (await fetch(worker.url, { method: 'POST', body: '{"input":"a text for workerd"}' })).text();
    await assert.rejects(async () => worker[Symbol.asyncDispose](), /a line of a log has "a text for workerd"/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
