// Serves the built page, with the models of `.models/` beside it in the hub's layout under /hub.
//
//   node www/serve.mjs            then open the address that it prints; PORT=4173 by default
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createHub } from '../tests/hub/hub.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

/** The model of the text detector, as its head names it. */
const { model: detectorModel } = JSON.parse(readFileSync(path.join(here, '../training/detector/model.json'), 'utf8'));

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.csv': 'text/csv; charset=utf-8',
  '.wasm': 'application/wasm',
};

/** Models may come from any https host and from this machine; scripts from this server alone. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self' https: http://localhost:* http://127.0.0.1:*",
  "worker-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** A folder of `.models/` is a model; its organisation is known for these, else it is served under `local/`. */
const NAMES = {
  'all-MiniLM-L6-v2': 'sentence-transformers/all-MiniLM-L6-v2',
  'SmolLM2-135M-Instruct-GGUF': detectorModel.repository,
};

/** The training set of banking77 in the folder that PILOTLIGHT_DATA names, and where the page finds it. */
const BANKING = 'banking77/banking77-train.csv';
const BANKING_ADDRESS = '/data/banking77.csv';

/**
 * Starts the server on 127.0.0.1.
 * @param {object} [options]
 * @param {number} [options.port] 0 takes a free one
 * @param {string} [options.dist] the built page
 * @param {Record<string, string | Record<string, Uint8Array>>} [options.models] as for the hub; default: the models in `.models/`
 * @param {string} [options.data] a folder with data sets; the page offers those that are there
 */
export async function serve({
  port = 0,
  dist = path.join(here, 'dist'),
  models = localModels(),
  data = process.env.PILOTLIGHT_DATA,
} = {}) {
  const banking = data && existsSync(path.join(data, BANKING)) ? path.join(data, BANKING) : undefined;
  // The head asks for its model by the commit: `make smollm2` has checked that the file is the one of that commit.
  const hub = createHub({ models, prefix: '/hub', commits: { [detectorModel.repository]: detectorModel.commit } });
  const page = { dist, banking, hasDetector: detectorModel.repository in models };
  const server = createServer((request, response) => {
    if (request.url.startsWith('/hub/')) return hub.handle(request, response);
    answer(page, request, response).catch(() => response.destroy());
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    models: Object.keys(models),
    requests: hub.requests,
    setFaults: hub.setFaults,
    push: hub.push,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

function localModels(folder = path.join(here, '../.models')) {
  let names = [];
  try {
    names = readdirSync(folder).filter((name) => statSync(path.join(folder, name)).isDirectory());
  } catch {
    // No models yet: the page works with another host.
  }
  const found = Object.fromEntries(names.map((name) => [NAMES[name] ?? `local/${name}`, path.join(folder, name)]));
  // A download that broke off leaves the folder without the file.
  const { repository, file } = detectorModel;
  if (found[repository] && !existsSync(path.join(found[repository], file))) delete found[repository];
  return found;
}

async function answer({ dist, banking, hasDetector }, request, response) {
  const refuse = (status) => response.writeHead(status, { 'Content-Type': 'text/plain' }).end(`${status}\n`);
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405);
  let name;
  try {
    name = decodeURIComponent(request.url.split('?')[0]);
  } catch {
    return refuse(400);
  }
  const isBanking = banking !== undefined && name === BANKING_ADDRESS;
  const file = isBanking ? banking : path.join(dist, name.endsWith('/') ? `${name}index.html` : name);
  if (!isBanking && !file.startsWith(dist + path.sep)) return refuse(404);
  let body;
  try {
    body = await readFile(file);
  } catch {
    return refuse(404);
  }
  if (file.endsWith('.html')) {
    // The page asks this server for models, not the hub.
    let html = body.toString().replace(/(<meta name="pilotlight-host" content=")[^"]*/, '$1/hub');
    if (banking) html = html.replace(/(<meta name="pilotlight-banking77" content=")/, `$1${BANKING_ADDRESS}`);
    if (hasDetector) html = html.replace(/(<meta name="pilotlight-detector-host" content=")[^"]*/, '$1/hub');
    body = Buffer.from(html);
  }
  response.writeHead(200, {
    'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream',
    'Content-Length': body.length,
    // The build puts a hash into the names under assets/.
    'Cache-Control': name.startsWith('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
    'Content-Security-Policy': CONTENT_SECURITY_POLICY,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Serves the built page on the port of `PORT` and says where. */
export async function serveHere() {
  const { url, models } = await serve({ port: Number(process.env.PORT ?? 4173) });
  console.log(`Pilotlight demo: ${url}`);
  console.log(
    models.length > 0
      ? `Models served beside it: ${models.join(', ')}`
      : 'No models in .models/: choose another model host on the page.',
  );
}

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await serveHere();
