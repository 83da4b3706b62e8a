/** The facts of the models that need no load: names, limits, digests and places of files. */
import packageJson from 'pilotlight/package.json' with { type: 'json' };
import { GatewayError } from '../http/errors.ts';
import { sha256 } from '../keys.ts';
import type { HeadRow } from '../tables/heads.ts';
import type { LocalEntry, ModelEntry, ModelsConfig } from './config.ts';
import type { Heads } from './heads.ts';
import type { Loaded } from './local/loader.ts';
import type { ModelInfo, Task } from './model.ts';
import { type Places, repositoryIn, resolveSource, type Source } from './sources.ts';

/** The most digests that are remembered: heads come and go. */
const MAX_DIGESTS = 1000;

export interface CatalogParts {
  config: ModelsConfig;
  heads: Heads;
  places: Places;
  modelPath: string | undefined;
  hold(promise: Promise<unknown>): void;
  /** A local model that is in memory. */
  loaded(id: string, entry: LocalEntry): Loaded | undefined;
}

export class Catalog {
  readonly #parts: CatalogParts;
  readonly #sources = new Map<string, Promise<Source>>();
  /** Digests by what they are of: every request asks for those of all models. */
  readonly #digests = new Map<string, string>();

  constructor(parts: CatalogParts) {
    this.#parts = parts;
  }

  /** A model of `models.jsonc`. */
  entry(id: string): ModelEntry | undefined {
    const { models } = this.#parts.config;
    return Object.hasOwn(models, id) ? models[id] : undefined;
  }

  async list(): Promise<ModelInfo[]> {
    const { config, heads } = this.#parts;
    const own = await Promise.all(
      Object.entries(config.models)
        .filter(([, entry]) => !isBare(entry))
        .map(([id, entry]) => this.info(id, entry)),
    );
    const put = await Promise.all((await heads.list()).map((row) => this.headInfo(row)));
    // A model hides a head of its name.
    return [...own, ...put.filter(({ id }) => this.entry(id) === undefined)];
  }

  async info(id: string, entry: ModelEntry): Promise<ModelInfo> {
    const { task, dimensions, max_tokens: maxTokens } = entry;
    const isRemote = entry.run !== 'local';
    const loaded = isRemote ? undefined : this.#parts.loaded(id, entry);
    return {
      id,
      task,
      run: isRemote ? 'upstream' : 'local',
      digest: await this.#digest(id, entry),
      ...(dimensions !== undefined && { dimensions }),
      ...(maxTokens !== undefined && { maxTokens }),
      ...(loaded && factsOf(loaded)),
      maxItems: entry.max_items,
      maxTokensRequest: entry.max_tokens_request,
      bases: this.#bases(id),
      ...(isRemote && entry.layer !== undefined && { layer: entry.layer }),
      ...(isRemote && entry.classifier !== undefined && { classifier: entry.classifier }),
    };
  }

  async headInfo(row: HeadRow): Promise<ModelInfo> {
    const { name, task, model, layer, classifier } = row;
    const entry = this.entry(model);
    const under = entry ? await this.#digest(model, entry) : '';
    return {
      id: name,
      task,
      run: entry && entry.run !== 'local' ? 'upstream' : 'local',
      digest: this.#sha256([row.digest, under]),
      maxItems: entry?.max_items ?? 256,
      maxTokensRequest: entry?.max_tokens_request ?? 65_536,
      bases: this.#bases(model),
      ...(layer !== null && { layer }),
      ...(classifier !== null && { classifier }),
    };
  }

  /** The names that a model is known by: its own, and that of its repository. */
  #bases(id: string): string[] {
    const entry = this.entry(id);
    if (!entry) return [id];
    const other = entry.run === 'local' ? (entry.repository ?? repositoryIn(entry.source)) : entry.model;
    return [...new Set(other === undefined ? [id] : [id, other])];
  }

  /** The model of `models.jsonc` that a head was fitted to, by the name of the repository in its JSON. */
  baseOf(repository: string, task: 'embed' | 'detect', layers: number | undefined): string | undefined {
    return Object.entries(this.#parts.config.models).find(
      ([id, entry]) =>
        entry.task === task &&
        this.#bases(id).includes(repository) &&
        (entry.run !== 'local' || task === 'detect' || entry.layers === layers),
    )?.[0];
  }

  /** Finds the files of a model, once. */
  source(id: string, { source = '', repository, revision }: LocalEntry): Promise<Source> {
    const known = this.#sources.get(id);
    if (known) return known;
    const { places, modelPath, hold } = this.#parts;
    const found = resolveSource({ source, repository, revision }, places, modelPath);
    this.#sources.set(id, found);
    hold(found.catch(() => this.#sources.delete(id)));
    return found;
  }

  /** Looks for the files anew at the next load: they may have been replaced. */
  forgetSource(id: string): void {
    this.#sources.delete(id);
  }

  /** The digest of a model: of its options, the version of the package, and its files where they are in a place of the deployment. */
  async #digest(id: string, entry: ModelEntry): Promise<string> {
    let files: string | undefined;
    if (entry.run === 'local' && entry.task !== 'digits')
      files = await this.source(id, entry).then(
        ({ at }) => at?.listing.version,
        // The load throws the same error, with what is wrong.
        () => undefined,
      );
    const { max_items: _, max_tokens_request: __, ...options } = entry;
    const upstream = entry.run === 'upstream' ? this.#parts.config.upstreams[entry.upstream] : undefined;
    return this.#sha256([packageJson.version, options, files, upstream?.url, upstream?.model]);
  }

  #sha256(value: unknown): string {
    const text = JSON.stringify(value);
    let digest = this.#digests.get(text);
    if (!digest) {
      if (this.#digests.size > MAX_DIGESTS) this.#digests.clear();
      digest = sha256(text);
      this.#digests.set(text, digest);
    }
    return digest;
  }

  async notFound(id: string, task: Task, what: string): Promise<GatewayError> {
    const names = (await this.list())
      .filter((info) => info.task === task || (task === 'route' && info.task === 'classify'))
      .map((info) => info.id);
    const there = names.length > 0 ? `there ${names.length > 1 ? 'are' : 'is'} ${names.join(', ')}` : 'there is none';
    const message = `The model "${id}" ${what}; for ${task} ${there}.`;
    return new GatewayError('model_not_found', message, { param: 'model' });
  }
}

/** Whether a model is a decoder for heads alone. */
export const isBare = (entry: ModelEntry): boolean => entry.run === 'local' && entry.heads_only;

export const factsOf = ({ dimensions, maxTokens }: Loaded): Pick<ModelInfo, 'dimensions' | 'maxTokens'> => ({
  ...(dimensions !== undefined && { dimensions }),
  ...(maxTokens !== undefined && Number.isFinite(maxTokens) && { maxTokens }),
});
