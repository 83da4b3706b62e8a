import type { TextEmbedder } from '../index.js';

export interface PluginEmbeddingsOptions {
  /** The property of the documents that gets the vector; the schema has it as `vector[…]` with the model's dimensions. Default `'embedding'`. */
  property?: string;
  /** The properties whose texts are embedded, joined by line breaks. A name with dots, such as `'meta.title'`, is a property inside of another. */
  from: readonly string[];
  /** The prompts that are put before queries and before documents, as in `TextEmbedOptions`; default that of the model, if it has one. */
  prompts?: { query?: string; document?: string };
  /** The number of leading values to keep of each vector, which is then normalized again. */
  dimensions?: number;
}

/** A plugin of Orama 3; `create({ schema, plugins: [plugin] })` takes it. */
export interface EmbeddingsPlugin {
  name: 'pilotlight-embeddings';
  beforeInsert(orama: unknown, id: string, document: object): Promise<void>;
  beforeInsertMultiple(orama: unknown, documents: object[]): Promise<void>;
  beforeSearch(orama: unknown, params: object): Promise<void>;
}

/**
 * Makes a plugin that embeds documents when they are inserted or updated, and the `term` of searches of mode `'vector'` and `'hybrid'`. A
 * document or a search that brings its own vector keeps it. The caller disposes of the embedder. Orama leaves out hits
 * below a similarity of 0.8, which few models reach for related texts: give `similarity` with the search.
 * @throws {PilotlightError} `INVALID_INPUT` where `embedder` has no `embed`, or `from` names no property
 */
export declare function pluginEmbeddings(
  embedder: Pick<TextEmbedder, 'embed'>,
  options: PluginEmbeddingsOptions,
): EmbeddingsPlugin;
