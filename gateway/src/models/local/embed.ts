/** Sentence encoders of the package. */
import { TextEmbedder, type TextEmbedOptions, type TextLoadOptions } from 'pilotlight';
import { joinedVectors } from '../vectors.ts';
import { guessTokens, sliceTokens } from './compute.ts';
import type { Loaded, LoadRequest } from './loader.ts';

export async function loadEmbedder({ entry, repository, options, compute }: LoadRequest): Promise<Loaded> {
  const load: TextLoadOptions = { ...options, ...(entry.layers !== undefined && { layers: entry.layers }) };
  const embedder = await TextEmbedder.load(repository, load);
  const { dimensions: width, layers, maxTokens } = embedder;
  const most = sliceTokens(width, layers);
  return {
    dimensions: width,
    maxTokens,
    embedder,
    calls: {
      async embed(texts, { dimensions, prompt = entry.prompt }, { signal, job }) {
        const call: TextEmbedOptions = {
          signal,
          ...(dimensions !== undefined && { dimensions }),
          ...(prompt !== undefined && { prompt }),
        };
        const size = { most, tokensOf: (text: string) => guessTokens(text, maxTokens), job };
        const parts = await compute.each(texts, size, (slice) => embedder.embed(slice, call));
        return joinedVectors(parts, dimensions ?? width);
      },
    },
    dispose: () => embedder.dispose(),
  };
}
