/** Gateways with models: the tiny ones of the golden tests, and the real ones where they are to be had. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { TextEmbedder } from 'pilotlight';
import { createGateway } from '../../src/app.ts';
import { checkConfig } from '../../src/models/config.ts';
import { allLoaders } from '../../src/models/local/all.ts';
import type { Place } from '../../src/models/local/files.ts';
import type { CallContext } from '../../src/models/model.ts';
import { createModels, type ModelParts, type Registry } from '../../src/models/registry.ts';
import { FolderBlobs } from '../../src/parts/folder.ts';
import { type CallOptions, call, keyFor } from './app.ts';
import { type TestHost, type TestHostOptions, testHost } from './host.ts';

export const ROOT = path.resolve(import.meta.dirname, '../../..');

export const tinyFolder = (name: string): string => path.join(ROOT, 'tests/goldens', name);

/** All files of a folder by their names, as the package takes them. */
export function filesOf(folder: string): Record<string, Uint8Array> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    entries.map(({ parentPath, name }) => {
      const full = path.join(parentPath, name);
      return [path.relative(folder, full).split(path.sep).join('/'), new Uint8Array(readFileSync(full))];
    }),
  );
}

/** The package's own embedder, for comparison. */
export const embedderOf = (folder: string, name: string, options: object = {}): Promise<TextEmbedder> =>
  TextEmbedder.load(name, { files: filesOf(folder), device: 'cpu', dtype: 'q8', store: false, ...options });

/** A model of `models.jsonc` whose files are in a folder. */
export const inFolder = (task: string, folder: string, repository: string, more: object = {}): object => ({
  task,
  run: 'local',
  source: `folder:${folder}`,
  repository,
  memory_mb: 16,
  ...more,
});

export const folderPlace = (folder: string): { place: Place; prefix: string } => ({
  place: new FolderBlobs(folder),
  prefix: '',
});

/** The value of an answer in JSON; the assertions check what it has to be. */
// biome-ignore lint/suspicious/noExplicitAny: a test that asks for a field that is not there fails by its assertion.
export type Json = any;

export interface ModelHost extends TestHost {
  models: Registry;
  app: ReturnType<typeof createGateway>;
  /** A key with all scopes. */
  key: string;
  /** Calls a path as the owner of the key, and reads the answer as JSON. */
  post(path: string, json: unknown, options?: CallOptions): Promise<{ status: number; headers: Headers; json: Json }>;
  call(method: string, path: string, options?: CallOptions): Promise<Response>;
}

/** A gateway with models of a config; `await using` ends it. */
export async function modelHost(
  config: { models: object; upstreams?: object },
  options: TestHostOptions & { parts?: Partial<ModelParts> } = {},
): Promise<ModelHost> {
  const host = (await testHost(options)) as ModelHost;
  host.models = createModels(checkConfig(config), {
    ...host,
    loaders: allLoaders,
    places: { folder: folderPlace },
    ...options.parts,
  });
  host.app = createGateway(host);
  host.key = await keyFor(host);
  host.call = (method, at, given) => call(host.app, method, at, { key: host.key, ...given });
  host.post = async (at, json, given) => {
    const response = await host.call('POST', at, { json, ...given });
    return { status: response.status, headers: response.headers, json: await response.json() };
  };
  return host;
}

export const context = (): CallContext => ({ signal: new AbortController().signal, requestId: 'test-request' });
