import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { Miniflare } from 'miniflare';
import { ROOT } from './models.mjs';

/**
 * Bundles a Worker's source as wrangler does it, with its conditions and .wasm files beside the script as compiled modules, and
 * starts it in workerd.
 */
export async function startWorker(source, { bindings = {} } = {}) {
  const outdir = mkdtempSync(path.join(os.tmpdir(), 'pilotlight-worker-'));
  await build({
    stdin: { contents: source, resolveDir: ROOT, sourcefile: 'index.js' },
    outfile: path.join(outdir, 'index.js'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    conditions: ['workerd', 'worker', 'browser'],
    loader: { '.wasm': 'copy' },
    logLevel: 'warning',
  });
  const miniflare = new Miniflare({
    modules: true,
    rootPath: outdir,
    modulesRoot: outdir,
    scriptPath: 'index.js',
    modulesRules: [{ type: 'CompiledWasm', include: ['**/*.wasm'] }],
    compatibilityDate: '2026-07-01',
    bindings,
    // These Workers are for requests that are cut off, each of which workerd logs.
    handleRuntimeStdio: (stdout, stderr) => [stdout, stderr].forEach((stream) => void stream.resume()),
  });
  const url = await miniflare.ready;
  return {
    /** Sends a request; `{ status, body }`, with the body as text, or a rejection. */
    send: (where, body) => send(new URL(where, url), body).answer,
    /** Sends a request whose client leaves after `after` milliseconds, and resolves when it has left. */
    async leave(where, body, after) {
      const { request, answer } = send(new URL(where, url), body);
      const early = await Promise.race([
        answer.then(() => true),
        new Promise((resolve) => setTimeout(() => resolve(false), after)),
      ]);
      if (early) throw new Error(`${where} was answered before its client left`);
      answer.catch(() => {});
      // Without the reset workerd would take the client for one that only sends no more.
      request.socket.resetAndDestroy();
    },
    async stop() {
      await miniflare.dispose();
      rmSync(outdir, { recursive: true, force: true });
    },
  };
}

function send(url, body) {
  const request = http.request(url, { method: body === undefined ? 'GET' : 'POST', agent: false });
  const answer = new Promise((resolve, reject) => {
    request.on('error', reject);
    request.on('response', (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, body: Buffer.concat(parts).toString() }));
    });
  });
  request.end(body);
  return { request, answer };
}
