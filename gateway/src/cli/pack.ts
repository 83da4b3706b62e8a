/** Makes the packed files of a model by `pilotlight pull`, from the hub, from another host, or from a folder. */
import { spawn } from 'node:child_process';
import { createReadStream, existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import type { Blobs } from '../host.ts';

/** The list of a repository's files with their digests. */
const LOCK = 'pilotlight-lock.json';
const PACKAGE_CLI = fileURLToPath(import.meta.resolve('pilotlight/package.json').replace(/package\.json$/, 'cli.js'));

export interface PackOptions {
  /** A folder with the model's files, or the address of a host; default the hub. */
  from?: string | undefined;
  dtype?: string | undefined;
  revision?: string | undefined;
}

/** A folder that has a model's files and their lock file. `remove` deletes it where it was made for this call. */
export interface Packed {
  folder: string;
  remove(): Promise<void>;
}

/**
 * Gives the packed files of a model. A folder that `pilotlight pull` made is taken as it is.
 * @throws {Error} where `from` has no such model, or `pull` cannot read it
 */
export async function pack(model: string, { from, dtype = 'q8', revision = 'main' }: PackOptions): Promise<Packed> {
  const folder = from === undefined || /^https?:\/\//.test(from) ? undefined : folderOf(from, model, revision);
  if (folder !== undefined && existsSync(join(folder, LOCK))) return { folder, remove: async () => {} };
  const out = await mkdtemp(join(tmpdir(), 'pilotlight-pack-'));
  const remove = () => rm(out, { recursive: true, force: true });
  const server = folder === undefined ? undefined : await serveFolder(folder, `/${model}/resolve/${revision}/`);
  try {
    const host = server?.url ?? from;
    await run([
      ...['pull', model, '--dtype', dtype, '--revision', revision, '--out', out],
      ...(host === undefined ? [] : ['--host', host]),
    ]);
    return { folder: join(out, model, 'resolve', revision), remove };
  } catch (error) {
    await remove();
    throw error;
  } finally {
    await server?.close();
  }
}

/** Writes the files of a folder under a prefix, the lock file last: it tells readers that the others are there. */
export async function upload(
  blobs: Pick<Blobs, 'put'>,
  prefix: string,
  folder: string,
): Promise<{ files: number; bytes: number }> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(resolve(folder).length + 1))
    .sort((a, b) => Number(a === LOCK) - Number(b === LOCK) || (a < b ? -1 : 1));
  let bytes = 0;
  for (const name of names) {
    const content = await readFile(join(folder, name));
    await blobs.put(prefix + name.split(sep).join('/'), content);
    bytes += content.length;
  }
  return { files: names.length, bytes };
}

/** The folder itself where it has the files, else where the hub's layout has them in it. */
function folderOf(from: string, model: string, revision: string): string {
  const folder = resolve(from);
  for (const path of [folder, join(folder, model, 'resolve', revision), join(folder, model)]) {
    if (existsSync(join(path, 'config.json')) || existsSync(join(path, LOCK))) return path;
  }
  throw new Error(`${folder}: neither it nor ${model} in it has a config.json`);
}

async function run(words: string[]): Promise<void> {
  const child = spawn(process.execPath, [PACKAGE_CLI, ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
  });
  const code = await new Promise((done, fail) => child.once('error', fail).once('close', done));
  if (code !== 0) throw new Error(said.trim().split('\n').at(-1) ?? `pilotlight pull ended with ${code}`);
}

/** Serves a folder on a free port of this machine, in the hub's layout and to this process's children alone. */
async function serveFolder(folder: string, path: string): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const file = resolve(folder, decodeURIComponent(pathname.slice(path.length)));
    const stats =
      pathname.startsWith(path) && file.startsWith(folder + sep) ? await stat(file).catch(() => undefined) : undefined;
    if (!stats?.isFile()) return void response.writeHead(404).end();
    const [, from = 0, to = stats.size - 1] = /^bytes=(\d+)-(\d+)?$/.exec(request.headers.range ?? '') ?? [];
    const [start, end] = [Number(from), Math.min(Number(to), stats.size - 1)];
    const isPart = request.headers.range !== undefined;
    response.writeHead(isPart ? 206 : 200, {
      'accept-ranges': 'bytes',
      'content-length': stats.size === 0 ? 0 : end - start + 1,
      etag: `"${stats.size.toString(16)}-${stats.mtimeMs.toString(16)}"`,
      ...(isPart && { 'content-range': `bytes ${start}-${end}/${stats.size}` }),
    });
    if (request.method === 'HEAD' || stats.size === 0) return void response.end();
    await pipeline(createReadStream(file, { start, end }), response).catch(() => {});
  });
  await new Promise<void>((done, fail) => server.once('error', fail).listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => close(server) };
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((done) => server.close(() => done()));
}
