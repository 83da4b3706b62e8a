// A small server that speaks the Hugging Face hub's protocol, for tests and for the local demo.
//
//   GET {host}/{model}/resolve/{revision}/{file}                       the file; Range, If-None-Match and HEAD work
//   GET {host}/api/models/{model}/tree/{revision}?recursive=true       [{type, path, size, oid, lfs?: {oid, size, pointerSize}}]
//   GET {host}/api/models/{model}/revision/{revision}                  {id, sha, siblings}
//
// Like the real hub it answers 401 (not 404) for a repository that it does not know, with X-Error-Code. `push` gives a model's
// branch a new commit; `traits` make it another kind of host than the hub.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { gzipSync } from 'node:zlib';
import { faultFor, misbehave } from './faults.mjs';

const CORS = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers':
    'X-Repo-Commit, X-Error-Code, X-Error-Message, ETag, Link, Accept-Ranges, Content-Range, Content-Length, X-Linked-Size, X-Linked-ETag',
};

/**
 * The traits of the host; without any, it is like the hub.
 * @typedef {object} Traits
 * @property {number} [page] the rows on each page of the tree; without it, all are on one
 * @property {boolean} [api] false: a plain bucket that has neither tree nor revision nor commits
 * @property {boolean} [gated] true: no file can be read without having accepted terms
 * @property {number} [missing] the status for a missing file; S3 answers 403 to callers who may not list
 * @property {boolean} [etag] false: files have none
 * @property {boolean} [length] false: no header has the length of a file
 * @property {boolean} [expose] false: other origins see no headers but those that CORS always exposes
 * @property {boolean} [ranges] false: range requests are answered with the whole file
 */

/**
 * Starts a hub on a free port of 127.0.0.1.
 * @param {object} options
 * @param {Record<string, string | Record<string, Uint8Array | string>>} options.models 'org/name' → a folder, or file name → bytes
 * @param {number} [options.port] 0 takes a free one
 * @param {import('./faults.mjs').Fault[]} [options.faults]
 * @param {Traits} [options.traits]
 * @param {string} [options.prefix] a path, such as '/hub', under which all of it lies
 * @param {Record<string, string>} [options.commits] 'org/name' → the commit that its files are of on the real hub
 */
export async function startHub({ models, port = 0, faults = [], traits = {}, prefix = '', commits = {} }) {
  const hub = createHub({ models, faults, traits, prefix, commits });
  const server = createServer(hub.handle);
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}${prefix}`,
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

/** The same as a request handler: `handle(request, response)` for a server that mounts it under `prefix`. */
export function createHub({ models, faults = [], traits = {}, prefix = '', commits = {} }) {
  const requests = [];
  /** Each model's branch: its newest commit, and the older ones that can be had by their names. */
  const branches = new Map(
    Object.entries(models).map(([name, source]) => [
      name,
      { head: new Repository(source, commits[name]), older: new Map() },
    ]),
  );
  let active = arm(faults);

  async function handle(request, response) {
    const record = { method: request.method, url: request.url, headers: request.headers, status: 0, bytes: 0 };
    requests.push(record);
    const write = response.write;
    const end = response.end;
    const count = (chunk) => (typeof chunk === 'string' || chunk instanceof Uint8Array ? Buffer.byteLength(chunk) : 0);
    response.write = (chunk, ...rest) => {
      record.bytes += count(chunk);
      return write.call(response, chunk, ...rest);
    };
    response.end = (chunk, ...rest) => {
      record.bytes += count(chunk);
      return end.call(response, chunk, ...rest);
    };
    try {
      await answer(request, response, record);
    } catch (error) {
      if (!response.headersSent && !response.destroyed) refuse(response, 500, 'InternalError', String(error));
      else response.destroy();
    } finally {
      record.status = response.headersSent ? response.statusCode : 0;
    }
  }

  async function answer(request, response, record) {
    for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value);
    if (traits.expose === false) response.removeHeader('Access-Control-Expose-Headers');
    if (request.method === 'OPTIONS') {
      response.setHeader('Access-Control-Allow-Methods', 'GET, HEAD, OPTIONS');
      response.setHeader('Access-Control-Allow-Headers', request.headers['access-control-request-headers'] ?? '*');
      response.writeHead(204).end();
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return refuse(response, 405, 'MethodNotAllowed', 'only GET and HEAD');

    const route = parse(request.url, prefix);
    if (!route) return refuse(response, 404, 'NotFound', `no such path: ${request.url}`);
    if (traits.api === false && route.kind !== 'file')
      return refuse(response, 404, 'NotFound', 'a bucket has no such path');
    const fault = faultFor(active, route);
    if (fault && (await misbehave.early(fault, request, response))) return;

    const branch = branches.get(route.model);
    if (!branch) return refuse(response, 401, 'RepoNotFound', 'Repository not found');
    // As the hub does it: what a gated repository has can be listed, and not read.
    if (traits.gated && route.kind === 'file')
      return refuse(response, 401, 'GatedRepo', 'Access to this model is restricted');
    const newest = await branch.head.commit();
    const commit = route.revision === 'main' ? newest : route.revision;
    const repository = commit === newest ? branch.head : branch.older.get(commit);
    if (!repository) return refuse(response, 404, 'RevisionNotFound', `Invalid rev id: ${route.revision}`);
    if (traits.api !== false) response.setHeader('X-Repo-Commit', commit);

    if (route.kind === 'revision') {
      const siblings = (await repository.files()).map((file) => ({ rfilename: file.path }));
      return json(response, { id: route.model, modelId: route.model, sha: commit, private: false, siblings });
    }
    if (route.kind === 'tree') return json(response, page(await repository.tree(), request, response));

    const file = (await repository.files()).find((one) => one.path === route.file);
    if (!file) return refuse(response, traits.missing ?? 404, 'EntryNotFound', `Entry not found: ${route.file}`);
    await send(request, response, file, { fault, record, traits });
  }

  /** The rows of one page; the Link header leads to the next, by its full address as the hub's does. */
  function page(rows, request, response) {
    if (!traits.page) return rows;
    const url = new URL(request.url, `http://${request.headers.host}`);
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const end = from + traits.page;
    url.searchParams.set('cursor', end);
    if (end < rows.length) response.setHeader('Link', `<${url}>; rel="next"`);
    return rows.slice(from, end);
  }

  /** Gives the branch a new commit with these files. The one before stays to be had by its name, unless it is `gone`. */
  async function push(model, source, { gone = false } = {}) {
    const branch = branches.get(model);
    if (!gone) branch.older.set(await branch.head.commit(), branch.head);
    branch.head = new Repository(source);
    return branch.head.commit();
  }

  const setFaults = (next) => {
    active = arm(next);
  };

  return { handle, requests, setFaults, push };
}

/** Each fault gets its own count, so that a table can be used for many hubs. */
const arm = (faults) => faults.map((fault) => ({ ...fault, pass: fault.skip ?? 0, left: fault.times ?? Infinity }));

function parse(url, prefix) {
  const pathname = url.split('?')[0];
  if (!pathname.startsWith(prefix)) return null;
  const rest = pathname.slice(prefix.length);
  try {
    const api = /^\/api\/models\/(.+?)\/(tree|revision)\/([^/]+)\/?$/.exec(rest);
    if (api)
      return { kind: api[2], model: decodeURIComponent(api[1]), revision: decodeURIComponent(api[3]), file: api[2] };
    const file = /^\/(.+?)\/resolve\/([^/]+)\/(.+)$/.exec(rest);
    if (file)
      return {
        kind: 'file',
        model: decodeURIComponent(file[1]),
        revision: decodeURIComponent(file[2]),
        file: decodeURIComponent(file[3]),
      };
  } catch {
    return null; // a malformed percent escape
  }
  return null;
}

async function send(request, response, file, { fault, record, traits }) {
  const { fault: kind, value } = fault ?? {};
  const etag = kind === 'etag' || kind === 'other' ? value : (await file.digests()).etag;
  if (traits.etag !== false) response.setHeader('ETag', `"${etag}"`);
  if (traits.ranges !== false) response.setHeader('Accept-Ranges', 'bytes');
  response.setHeader('Cache-Control', 'no-cache');
  response.setHeader(
    'Content-Type',
    file.path.endsWith('.json') ? 'application/json; charset=utf-8' : 'application/octet-stream',
  );
  response.setHeader('Content-Disposition', `inline; filename="${path.posix.basename(file.path)}"`);
  for (const [name, text] of Object.entries(fault?.headers ?? {})) response.setHeader(name, text);
  if (request.headers['if-none-match'] === `"${etag}"`) return void response.writeHead(304).end();
  if (kind === 'gzip' && /gzip/.test(request.headers['accept-encoding'])) return gzipped(response, file);

  let start = 0;
  let end = file.size - 1;
  const ifRange = request.headers['if-range'];
  const range = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? '');
  const whole = traits.ranges === false || kind === 'unranged' || kind === 'long';
  if (!whole && range && (range[1] || range[2]) && (!ifRange || ifRange === `"${etag}"`)) {
    start = range[1] ? Number(range[1]) : Math.max(0, file.size - Number(range[2]));
    end = range[1] && range[2] ? Math.min(Number(range[2]), end) : end;
    if (kind === 'shift') start = Math.max(0, start + value);
    if (start > end) {
      response.setHeader('Content-Range', `bytes */${file.size}`);
      return refuse(response, 416, 'RangeNotSatisfiable', 'range not satisfiable');
    }
    response.setHeader('Content-Range', `bytes ${start}-${end}/${traits.length === false ? '*' : file.size}`);
    response.statusCode = 206;
  }
  const length = end - start + 1;
  const told = length + (kind === 'long' || kind === 'length' ? value : 0);
  if (traits.length !== false) response.setHeader('Content-Length', told);
  record.status = response.statusCode;
  if (request.method === 'HEAD' || length <= 0) return void response.end();
  const from = kind === 'lie' ? Math.max(0, Math.min(start + value, file.size - length)) : start;
  const body = file.read(from, from + length - 1);
  const inBody = ['flip', 'short', 'truncate', 'stall', 'reset', 'drip', 'long', 'length', 'other'];
  if (inBody.includes(kind)) return misbehave.body(fault, response, body, start, length);
  await pipeline(body, response);
}

/** The whole file, compressed. */
async function gzipped(response, file) {
  const parts = [];
  for await (const chunk of file.read(0, file.size - 1)) parts.push(chunk);
  const body = gzipSync(Buffer.concat(parts));
  response.setHeader('Content-Encoding', 'gzip');
  response.setHeader('Content-Length', body.length);
  response.end(body);
}

function refuse(response, status, code, message) {
  response.setHeader('X-Error-Code', code);
  response.setHeader('X-Error-Message', message.replace(/[^\x20-\x7e]/g, '?'));
  response.statusCode = status;
  json(response, { error: message });
}

function json(response, value) {
  const body = Buffer.from(JSON.stringify(value));
  response.setHeader('Content-Type', 'application/json; charset=utf-8');
  response.setHeader('Content-Length', body.length);
  response.end(body);
}

/** One model: the files of a folder, or of a map in memory. */
class Repository {
  #source;
  #commit;
  #files = new Map();

  constructor(source, commit) {
    this.#source = source;
    this.#commit = commit;
  }

  /** Lists the files anew each time, so that a file that changes on disk is served in its new state. */
  async files() {
    const found =
      typeof this.#source === 'string' ? await walk(this.#source) : Object.entries(this.#source).map(inMemory);
    return found
      .sort((a, b) => (a.path < b.path ? -1 : 1))
      .map((file) => {
        const known = this.#files.get(file.path);
        if (known?.version === file.version) return known;
        const fresh = { ...file, digests: () => digestsOf(file) };
        this.#files.set(file.path, fresh);
        return fresh;
      });
  }

  /** 40 hex digits that change when a file does, unless they were given. */
  async commit() {
    if (this.#commit) return this.#commit;
    const state = (await this.files()).map((file) => `${file.path}\n${file.size}\n${file.version}\n`).join('');
    return createHash('sha1').update(state).digest('hex');
  }

  async tree() {
    const files = await this.files();
    const folders = new Set(
      files.flatMap(({ path: name }) =>
        name
          .split('/')
          .slice(0, -1)
          .map((_, i, parts) => parts.slice(0, i + 1).join('/')),
      ),
    );
    const rows = [...folders].map((name) => ({
      type: 'directory',
      oid: createHash('sha1').update(name).digest('hex'),
      size: 0,
      path: name,
    }));
    for (const file of files) {
      const { oid, lfs } = await file.digests();
      rows.push({ type: 'file', oid, size: file.size, ...(lfs ? { lfs } : {}), path: file.path });
    }
    return rows;
  }
}

async function walk(folder, inside = '') {
  const entries = await readdir(path.join(folder, inside), { withFileTypes: true });
  const lists = entries.map(async (entry) => {
    const name = path.posix.join(inside, entry.name);
    if (entry.isDirectory()) return walk(folder, name);
    const full = path.join(folder, name);
    const { size, mtimeMs, isFile } = await describe(full);
    if (!isFile) return []; // a link to a folder, say
    return [
      {
        path: name,
        size,
        version: String(mtimeMs),
        id: `${full} ${size} ${mtimeMs}`,
        read: (start, end) => createReadStream(full, { start, end, highWaterMark: 1 << 18 }),
      },
    ];
  });
  return (await Promise.all(lists)).flat();
}

async function describe(file) {
  const found = await stat(file).catch(() => null); // a link that leads nowhere
  return { size: found?.size, mtimeMs: found?.mtimeMs, isFile: found?.isFile() ?? false };
}

function inMemory([name, content]) {
  const bytes =
    typeof content === 'string'
      ? Buffer.from(content)
      : Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  const version = versionOf(content);
  return {
    path: name,
    size: bytes.length,
    version,
    id: `${path.extname(name)} ${version}`,
    read: (start, end) => Readable.from(chunks(bytes.subarray(start, end + 1))),
  };
}

/** The versions of files by content; contents are not changed in place, so large ones are hashed once. */
const versions = new WeakMap();

function versionOf(content) {
  const version = () => createHash('sha1').update(content).digest('hex');
  if (typeof content === 'string') return version();
  if (!versions.has(content)) versions.set(content, version());
  return versions.get(content);
}

function* chunks(bytes, size = 1 << 18) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Several hubs of one process hash a file once. */
const hashed = new Map();

function digestsOf(file) {
  if (!hashed.has(file.id)) hashed.set(file.id, digests(file));
  return hashed.get(file.id);
}

/** The hub keeps weights in LFS: their ETag is the sha256 of the content, that of other files is git's blob id. */
async function digests(file) {
  const sha256 = createHash('sha256');
  const blob = createHash('sha1').update(`blob ${file.size}\0`);
  if (file.size > 0) {
    for await (const chunk of file.read(0, file.size - 1)) {
      sha256.update(chunk);
      blob.update(chunk);
    }
  }
  if (!/\.(safetensors|bin|onnx|gguf)$/.test(file.path)) {
    const oid = blob.digest('hex');
    return { oid, etag: oid };
  }
  const hash = sha256.digest('hex');
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${hash}\nsize ${file.size}\n`;
  const oid = createHash('sha1').update(`blob ${pointer.length}\0${pointer}`).digest('hex');
  return { oid, etag: hash, lfs: { oid: hash, size: file.size, pointerSize: pointer.length } };
}
