// Compiled, never run: the package's types in a project that has neither TypeScript's `dom` library nor types of a runtime.
import { ImageTextEmbedder, type SearchHit, TextEmbedder, VectorIndex } from 'pilotlight';
import { pluginEmbeddings } from 'pilotlight/adapters/orama';
import * as inline from 'pilotlight/inline';
import { DigitClassifier } from 'pilotlight/judge';
import { fileStore } from 'pilotlight/node';
import { useTextEmbedder } from 'pilotlight/react';
import simd from 'pilotlight/simd.wasm';
import { pilotlight } from 'pilotlight/vite';

export async function allowed(picture: Uint8Array): Promise<SearchHit[]> {
  await inline.init({ wasm: simd });
  const embedder = await TextEmbedder.load('sentence-transformers/all-MiniLM-L6-v2', { store: fileStore('models') });
  const clip = await ImageTextEmbedder.load('openai/clip-vit-base-patch32');
  await clip.embedImages([picture, 'https://example.com/a.png']);
  void [pluginEmbeddings(embedder, { from: ['text'] }), pilotlight().name];
  const index = await VectorIndex.create({ dimensions: embedder.dimensions });
  // @ts-expect-error: options are checked here too
  await VectorIndex.create({ dimensions: '384' });
  // @ts-expect-error: the constructor is private
  new DigitClassifier();
  return index.search(await embedder.embed('a'), 3);
}

export const useStatus = (): string => useTextEmbedder('m').status;
