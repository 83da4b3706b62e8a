// Compiled, never run: the hooks for React, the adapters and the Vite plugin as their types allow, and uses that they must refuse.
import type {
  DigitGenerator,
  Embeddings,
  ImageTextEmbedder,
  LoadProgress,
  PilotlightError,
  SearchHit,
  TextEmbedder,
  VectorIndex,
} from 'pilotlight';
import { type EmbeddingModel, embeddingModel } from 'pilotlight/adapters/ai';
import { PilotlightEmbeddings } from 'pilotlight/adapters/langchain';
import { pluginEmbeddings } from 'pilotlight/adapters/orama';
import { useDigitGenerator, useImageTextEmbedder, useSearch, useTextEmbedder, useVectorIndex } from 'pilotlight/react';
import { type PilotlightFiles, pilotlight } from 'pilotlight/vite';

export function useHooks(text: string): void {
  const loaded = useTextEmbedder('m', { dtype: 'q8', layers: 4 });
  if (loaded.status === 'ready') {
    const embedder: TextEmbedder = loaded.embedder;
    void embedder;
  }
  if (loaded.status === 'failed') {
    const error: PilotlightError = loaded.error;
    void error.code;
  }
  const progress: LoadProgress | undefined = loaded.progress;
  loaded.retry();
  // @ts-expect-error: it may not be there yet
  loaded.embedder.dimensions;
  const sure: TextEmbedder = useTextEmbedder('m', { suspense: true }).embedder;
  // @ts-expect-error: without a model there is nothing to wait for
  useTextEmbedder(null, { suspense: true }).embedder.dimensions;
  useTextEmbedder(null);
  // @ts-expect-error: the hook has the progress
  useTextEmbedder('m', { onProgress: () => {} });
  // @ts-expect-error: the hook aborts
  useTextEmbedder('m', { signal: new AbortController().signal });
  const clip: ImageTextEmbedder = useImageTextEmbedder('m', { towers: ['text'], suspense: true }).embedder;
  const generator: DigitGenerator | undefined = useDigitGenerator().generator;
  useDigitGenerator(null);
  const { index }: { index: VectorIndex | undefined } = useVectorIndex('notes', { dimensions: 384, store: 'memory' });
  useVectorIndex('notes', loaded.embedder && { dimensions: loaded.embedder.dimensions });
  // @ts-expect-error: an index has dimensions
  useVectorIndex('notes', {});
  const found = useSearch(loaded.embedder, index, text, { k: 5, filter: { tags: ['en'] } });
  const hits: SearchHit[] = found.hits;
  const query: Embeddings | undefined = found.query;
  useSearch(clip, null, text);
  const own = useSearch(
    async () => ({ data: new Float32Array(1), dims: [1, 1] as [number, number], ms: 1 }),
    null,
    text,
  );
  const ms: number | undefined = own.query?.ms;
  // @ts-expect-error: the text is text
  useSearch(loaded.embedder, index, 5);
  void [progress, sure, generator, hits, query, ms];
}

export function adapters(embedder: TextEmbedder, clip: ImageTextEmbedder): EmbeddingModel {
  // @ts-expect-error: CLIP embeds by `embedTexts`
  embeddingModel(clip);
  // @ts-expect-error: the properties to embed are named
  pluginEmbeddings(embedder, {});
  const embeddings: Promise<number[][]> = new PilotlightEmbeddings(embedder).embedDocuments(['a']);
  void embeddings;
  return embeddingModel(embedder, { modelId: 'm' });
}

export function plugins(files: PilotlightFiles): string {
  pilotlight();
  // @ts-expect-error: no such isolation
  pilotlight({ isolation: 'same-origin' });
  // @ts-expect-error: a model has a name
  pilotlight({ models: [{ dtype: 'q8' }] });
  return `${pilotlight({ models: ['m', { model: 'm', dtype: 'q4' }], isolation: true }).name} ${files.shell.length}`;
}
