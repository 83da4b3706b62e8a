import type * as Api from '../../types/adapters/orama.js';
import { shown } from '../calls/check.js';
import { PilotlightError } from '../error.js';
import { checkEmbedder, type Embedder, embedOptions, rowsOf } from './rows.js';

type Properties = Record<string, unknown>;

/** The part of an Orama search that the plugin reads and changes. */
interface SearchParams {
  mode?: string;
  term?: string;
  vector?: { property?: string; value?: number[] };
}

/** Makes a plugin of Orama that embeds documents and queries. */
export function pluginEmbeddings(embedder: Embedder, options: Api.PluginEmbeddingsOptions): Api.EmbeddingsPlugin {
  const { property = 'embedding', from, prompts = {}, dimensions } = Object(options) as Api.PluginEmbeddingsOptions;
  checkEmbedder(embedder);
  if (!Array.isArray(from) || from.length === 0)
    throw new PilotlightError('INVALID_INPUT', `from: expected the names of properties to embed, got ${shown(from)}`);
  /** The vectors that the plugin gave to searches, with their texts: the parameters of a search may be used again with another term. */
  const given = new WeakMap<number[], string>();

  async function embed(texts: string[], prompt: string | undefined): Promise<number[][]> {
    return rowsOf(await embedder.embed(texts, embedOptions({ prompt, dimensions })));
  }

  async function embedDocuments(documents: readonly object[]): Promise<void> {
    const lacking = (documents as Properties[]).filter((document) => document[property] === undefined);
    if (lacking.length === 0) return;
    const texts = lacking.map((document) => textOf(document, from));
    const rows = await embed(texts, prompts.document);
    for (const [index, document] of lacking.entries()) document[property] = rows[index];
  }

  return {
    name: 'pilotlight-embeddings',

    async beforeInsert(_orama, _id, document) {
      await embedDocuments([document]);
    },

    // Orama 3.1 does not call it, but inserts many documents without waiting for `beforeInsert` unless there is such a function.
    async beforeInsertMultiple(_orama, documents) {
      await embedDocuments(documents);
    },

    async beforeSearch(_orama, params) {
      const search = params as SearchParams;
      const { mode, term, vector } = search;
      if (mode !== 'vector' && mode !== 'hybrid') return;
      const known = vector?.value && given.get(vector.value);
      if (typeof term !== 'string' || (vector?.value && (known === undefined || known === term))) return;
      const [value = []] = await embed([term], prompts.query);
      given.set(value, term);
      search.vector = { property, ...vector, value };
    },
  };
}

/** The texts of some properties of a document. */
function textOf(document: Properties, names: readonly string[]): string {
  const values = names.map((name) =>
    name.split('.').reduce<unknown>((value, part) => (value as Properties | null | undefined)?.[part], document),
  );
  return values.filter((value) => typeof value === 'string').join('\n');
}
