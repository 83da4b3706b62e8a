/** Finds the files of a local model: on a host, or in a place of this deployment. */
import { type Listing, lookAt, type Place } from './local/files.ts';

/** The places of a deployment by the prefixes of sources: `blobs`, `r2`, `folder` and what else a host has. */
export type Places = Record<string, (path: string) => { place: Place; prefix: string }>;

export interface Source {
  /** The name of the repository. */
  repository: string;
  /** The host that the files come from; the hub where there is neither a host nor a place. */
  host?: string;
  at?: { place: Place; prefix: string; listing: Listing };
}

interface Given {
  source: string;
  repository?: string | undefined;
  revision?: string | undefined;
}

const slashed = (path: string): string => (path === '' || path.endsWith('/') ? path : `${path}/`);

/**
 * Finds the files of a model. A source without a prefix is looked for at `modelPath`: a host's address, a place with a prefix, or a folder.
 * @throws {Error} where no file of the model is there, with the places that were looked at
 */
export async function resolveSource(given: Given, places: Places, modelPath: string | undefined): Promise<Source> {
  const { source, revision = 'main' } = given;
  if (/^https?:\/\//.test(source)) return hosted(source, given.repository);
  const scheme = /^([a-z][a-z0-9]+):/.exec(source)?.[1];
  if (scheme !== undefined) {
    const repository = given.repository ?? nameIn(source.slice(scheme.length + 1));
    return placed(repository, scheme, source.slice(scheme.length + 1), ['', `resolve/${revision}/`], places);
  }
  const repository = given.repository ?? source;
  if (modelPath === undefined) return { repository };
  if (/^https?:\/\//.test(modelPath)) return { repository, host: modelPath.replace(/\/+$/, '') };
  const base = /^([a-z][a-z0-9]+):/.exec(modelPath)?.[1];
  const path = base === undefined ? modelPath : modelPath.slice(base.length + 1);
  const layouts = [`${source}/resolve/${revision}/`, `${source}/`, `${source.split('/').at(-1)}/`, ''];
  return placed(repository, base ?? 'folder', path, layouts, places);
}

/** `https://host/org/name`: the last two parts are the repository. */
function hosted(address: string, repository: string | undefined): Source {
  const parts = address.replace(/\/+$/, '').split('/');
  if (parts.length < 5) throw new Error(`source: expected an address such as https://host/org/name, got ${address}`);
  return { repository: repository ?? parts.slice(-2).join('/'), host: parts.slice(0, -2).join('/') };
}

async function placed(
  repository: string,
  scheme: string,
  path: string,
  layouts: string[],
  places: Places,
): Promise<Source> {
  const open = Object.hasOwn(places, scheme) ? places[scheme] : undefined;
  if (!open) throw new Error(`source: no place "${scheme}:"; there are ${Object.keys(places).join(', ')}`);
  const { place, prefix } = open(path);
  for (const layout of layouts) {
    const at = slashed(prefix) + layout;
    const listing = await lookAt(place, at);
    if (listing) return { repository, at: { place, prefix: at, listing } };
  }
  throw new Error(`source: no model at ${layouts.map((layout) => `${scheme}:${slashed(path)}${layout}`).join(' or ')}`);
}

/** The name of the repository that a source is of, where it can be told without a look. */
export function repositoryIn(source: string | undefined): string | undefined {
  if (source === undefined) return undefined;
  if (/^https?:\/\//.test(source)) return source.replace(/\/+$/, '').split('/').slice(-2).join('/');
  const scheme = /^[a-z][a-z0-9]+:/.exec(source)?.[0];
  return scheme === undefined ? source : nameIn(source.slice(scheme.length));
}

/** The name of a repository in a path: its last two parts, without the folder of a revision. */
function nameIn(path: string): string {
  const parts = path
    .replace(/\/resolve\/[^/]+\/?$/, '')
    .split('/')
    .filter(Boolean);
  return parts.slice(-2).join('/');
}
