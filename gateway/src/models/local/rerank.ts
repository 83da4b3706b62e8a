/** Cross-encoders. */
import { Reranker } from 'pilotlight';
import { guessTokens, SLICE_TOKENS } from './compute.ts';
import type { Loaded, LoadRequest } from './loader.ts';

export async function loadReranker({ repository, options, compute }: LoadRequest): Promise<Loaded> {
  const reranker = await Reranker.load(repository, options);
  const { maxTokens } = reranker;
  return {
    maxTokens,
    calls: {
      async rerank(query, documents, { signal, job }) {
        // Each document is read together with the query.
        const beside = guessTokens(query, maxTokens);
        const tokensOf = (text: string) => beside + guessTokens(text, maxTokens);
        const parts = await compute.each(documents, { most: SLICE_TOKENS, tokensOf, job }, (slice) =>
          reranker.rank(query, slice, { signal }),
        );
        const ordered = parts.flatMap((part) => [...part].sort((a, b) => a.index - b.index));
        return {
          results: ordered.map(({ score }) => score),
          tokens: ordered.reduce((sum, { tokens }) => sum + tokens, 0),
        };
      },
    },
    dispose: () => reranker.dispose(),
  };
}
