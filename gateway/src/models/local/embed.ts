/** Sentence encoders of the package. */
import { TextEmbedder, type TextEmbedOptions, type TextLoadOptions } from 'pilotlight';
import type { Vectors } from '../model.ts';
import { sliceTokens } from './compute.ts';
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
      async embed(texts, { dimensions, prompt = entry.prompt }, { signal }) {
        const call: TextEmbedOptions = {
          signal,
          ...(dimensions !== undefined && { dimensions }),
          ...(prompt !== undefined && { prompt }),
        };
        const parts = await compute.each(texts, { most, maxTokens }, (slice) => embedder.embed(slice, call));
        return joined(parts, dimensions ?? width);
      },
    },
    dispose: () => embedder.dispose(),
  };
}

/** The results of slices as one. */
function joined(parts: Awaited<ReturnType<TextEmbedder['embed']>>[], width: number): Vectors {
  const [only] = parts;
  if (parts.length === 1 && only?.data instanceof Float32Array) return { ...only, data: only.data };
  const count = parts.reduce((sum, { dims }) => sum + dims[0], 0);
  const data = new Float32Array(count * width);
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return {
    data,
    dims: [count, width],
    tokens: parts.flatMap(({ tokens }) => tokens),
    truncated: parts.flatMap(({ truncated }) => truncated),
  };
}
