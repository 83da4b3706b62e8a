import type * as Api from '../../types/adapters/langchain.js';
import { checkEmbedder, type Embedder, embedOptions, rowsOf } from './rows.js';

/** Embeds texts for LangChain.js. */
export class PilotlightEmbeddings implements Api.PilotlightEmbeddings {
  readonly #embedder: Embedder;
  readonly #options: Api.EmbeddingsOptions;

  constructor(embedder: Embedder, options: Api.EmbeddingsOptions = {}) {
    this.#embedder = checkEmbedder(embedder);
    this.#options = options;
  }

  embedDocuments(documents: string[]): Promise<number[][]> {
    return this.#embed(documents, this.#options.prompts?.document);
  }

  async embedQuery(query: string): Promise<number[]> {
    const [row = []] = await this.#embed(query, this.#options.prompts?.query);
    return row;
  }

  async #embed(texts: string | string[], prompt: string | undefined): Promise<number[][]> {
    const { dimensions } = this.#options;
    return rowsOf(await this.#embedder.embed(texts, embedOptions({ prompt, dimensions })));
  }
}
