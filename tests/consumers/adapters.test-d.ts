// Compiled, never run: the adapters are what the packages ask for by their own types.
import type { EmbeddingModelV4 } from '@ai-sdk/provider';
import type { EmbeddingsInterface } from '@langchain/core/embeddings';
import { create, type OramaPlugin, search } from '@orama/orama';
import { embed } from 'ai';
import type { ImageTextEmbedder, TextEmbedder } from 'pilotlight';
import { embeddingModel } from 'pilotlight/adapters/ai';
import { PilotlightEmbeddings } from 'pilotlight/adapters/langchain';
import { pluginEmbeddings } from 'pilotlight/adapters/orama';

declare const embedder: TextEmbedder;
declare const clip: ImageTextEmbedder;

export const model: EmbeddingModelV4 = embeddingModel(embedder, { prompt: 'query' });
export const { embedding } = await embed({ model: embeddingModel(embedder), value: 'a' });
export const embeddings: EmbeddingsInterface = new PilotlightEmbeddings(embedder, { prompts: { query: 'query: ' } });
export const plugin: OramaPlugin = pluginEmbeddings(embedder, { from: ['text'] });
export const database = create({
  schema: { text: 'string', embedding: 'vector[384]' },
  plugins: [pluginEmbeddings({ embed: (texts, options) => clip.embedTexts(texts, options) }, { from: ['text'] })],
});
export const found = await search(database, { mode: 'hybrid', term: 'a', similarity: 0.2 });
