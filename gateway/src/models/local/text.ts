/** The loaders of a Worker that serves texts: no images, digits or decoders are in its bundle. */
import type { Loaders } from './loader.ts';

export const textLoaders: Loaders = {
  embed: async (request) => (await import('./embed.ts')).loadEmbedder(request),
  classify: async (request) => (await import('./classify.ts')).loadClassifier(request),
  rerank: async (request) => (await import('./rerank.ts')).loadReranker(request),
  classifierHead: async (base, json) => (await import('./classify.ts')).loadClassifierHead(base, json),
  plan: async (request) => (await import('./plan.ts')).plan(request),
};
