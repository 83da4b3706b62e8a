// What both benches need: Chromium, a server of folders, and medians.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';

const TYPES = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.json': 'application/json' };
// Pages are isolated, so that clocks are fine-grained, threads can be had and a page's memory can be asked for.
const HEADERS = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Resource-Policy': 'same-origin' };
const PAGE = '<!doctype html><title>bench</title>';

const ARGS = ['--headless', '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
// A page in the background would be slowed down.
const FOREGROUND = ['--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows', '--disable-background-timer-throttling'];
// Memory is told at once, and not with the next garbage collection.
const MEMORY = ['--enable-blink-features=ForceEagerMeasureMemory'];

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: [...ARGS, ...FOREGROUND, ...MEMORY] });

export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/**
 * Serves an empty page at /, and folders or files by the prefix of their address.
 * @param {Record<string, string | ((request, response) => void)>} places
 */
export async function serve(places) {
  const sent = new Map();
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/') return response.writeHead(200, { ...HEADERS, 'Content-Type': 'text/html' }).end(PAGE);
    const [prefix, place] = Object.entries(places).find(([prefix]) => pathname.startsWith(prefix)) ?? [];
    if (typeof place === 'function') return place(request, response);
    const file = place && path.join(place, path.posix.normalize(pathname.slice(prefix.length)));
    if (!file || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404, HEADERS).end();
    const body = readFileSync(file);
    sent.set(pathname, body);
    response.writeHead(200, { ...HEADERS, 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream', 'Cache-Control': 'max-age=3600' }).end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /** Bodies by address, of the folders' files that were asked for. */
    sent,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
