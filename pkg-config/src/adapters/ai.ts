import type * as Api from '../../types/adapters/ai.js';
import { checkEmbedder, type Embedder, embedOptions, rowsOf } from './rows.js';

/** Makes an embedding model of the AI SDK. */
export function embeddingModel(
  embedder: Embedder,
  { modelId = 'text-embedder', prompt, dimensions }: Api.EmbeddingModelOptions = {},
): Api.EmbeddingModel {
  checkEmbedder(embedder);
  return {
    specificationVersion: 'v4',
    provider: 'pilotlight',
    modelId,
    maxEmbeddingsPerCall: Infinity,
    // They are accepted, and run one after another.
    supportsParallelCalls: true,

    async doEmbed({ values, dimensions: fewer = dimensions, abortSignal: signal, providerOptions }) {
      const own = providerOptions?.pilotlight?.prompt as string | undefined;
      const options = embedOptions({ prompt: own ?? prompt, dimensions: fewer, signal });
      const embeddings = await embedder.embed(values, options).catch((error: unknown) => {
        signal?.throwIfAborted();
        throw error;
      });
      const { tokens = [], truncated = [] } = embeddings;
      return {
        embeddings: rowsOf(embeddings),
        usage: { tokens: tokens.reduce((sum, count) => sum + count, 0) },
        warnings: truncated.flatMap((cut, index) =>
          cut
            ? [
                {
                  type: 'other' as const,
                  message: `values[${index}] was cut: only its first ${tokens[index]} tokens count`,
                },
              ]
            : [],
        ),
      };
    },
  };
}
