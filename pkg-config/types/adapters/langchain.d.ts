import type { TextEmbedder } from '../index.js';

export interface EmbeddingsOptions {
  /** The prompts that are put before queries and before documents, as in `TextEmbedOptions`; default that of the model, if it has one. */
  prompts?: { query?: string; document?: string };
  /** The number of leading values to keep of each vector, which is then normalized again. */
  dimensions?: number;
}

/**
 * Embeds texts for LangChain.js: the `EmbeddingsInterface` of `@langchain/core`, which vector stores and retrievers take. The caller
 * disposes of the embedder.
 */
export declare class PilotlightEmbeddings {
  /** @throws {PilotlightError} `INVALID_INPUT` where `embedder` has no `embed` */
  constructor(embedder: Pick<TextEmbedder, 'embed'>, options?: EmbeddingsOptions);
  /** Embeds documents. @throws {PilotlightError} as `TextEmbedder.embed` */
  embedDocuments(documents: string[]): Promise<number[][]>;
  /** Embeds a query. @throws {PilotlightError} as `TextEmbedder.embed` */
  embedQuery(query: string): Promise<number[]>;
}
