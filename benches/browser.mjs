// Chromium, a server of folders, pages, medians and tables for the benches.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';

const TYPES = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
};
// Pages are isolated, so that clocks are fine-grained, threads can be had and a page's memory can be asked for.
const ISOLATED = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
// A page in the background would be slowed down.
const FOREGROUND = [
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
  '--disable-background-timer-throttling',
];
// Memory is measured at once, and not with the next garbage collection.
const MEMORY = ['--enable-blink-features=ForceEagerMeasureMemory'];

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [...ARGS, ...FOREGROUND, ...MEMORY],
  });

/** Opens the page of the contestants at an address, in a context that others may share, and waits for its `window.bench`. */
export async function openPage(context, address) {
  const page = await context.newPage();
  page.on('pageerror', (error) => console.error(error.message));
  await page.goto(address);
  await page.waitForFunction(() => window.bench);
  return page;
}

export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/**
 * Serves a page at /, and folders, files and request handlers by the beginning of their address.
 * @param {Record<string, string | ((request, response) => void)>} places
 * @param {{ isolated?: boolean }} [options] `isolated: false` leaves out the headers that threads need, as most hosts do
 */
export async function serve(places, page = '<!doctype html><title>bench</title>', { isolated = true } = {}) {
  const sent = [];
  const headers = isolated ? ISOLATED : {};
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (pathname === '/') return response.writeHead(200, { ...headers, 'Content-Type': 'text/html' }).end(page);
    const [prefix, place] = Object.entries(places).find(([prefix]) => pathname.startsWith(prefix)) ?? [];
    if (typeof place === 'function') return place(request, response);
    const file = place && path.join(place, path.posix.normalize(pathname.slice(prefix.length)));
    if (!file || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404, headers).end();
    sent.push(file);
    response
      .writeHead(200, {
        ...headers,
        'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream',
        'Cache-Control': 'max-age=3600',
      })
      .end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /** The files that were sent since the last time. */
    takeSent: () => sent.splice(0),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Rows as a Markdown table; numbers with at most three digits behind the point. */
export function markdown(rows) {
  const columns = [...new Set(rows.flatMap(Object.keys))];
  const cell = (value) => (typeof value === 'number' ? String(Number(value.toPrecision(3))) : (value ?? ''));
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [
    line(columns),
    line(columns.map(() => '---')),
    ...rows.map((row) => line(columns.map((column) => cell(row[column])))),
  ].join('\n');
}
