import { type BackendReport, ImageTextEmbedder, models, type StoredModel } from 'pilotlight';
import decoders from 'pilotlight/images.wasm?url';
import { type Choice, isModelOf } from '../engine/choice';
import { createLoader, type LoaderState } from '../engine/loader';
import { describeProblem, type Problem } from '../engine/problem';
import { keepUsedFiles } from '../page/offline';
import { modelOf, rememberImageChoice } from './image-models';

/** A model for images with the source of its vectors. */
export type ClipEmbedder = ImageTextEmbedder & { readonly source: string };

export type ClipState = LoaderState<ClipEmbedder>;

/** The loader of the page's model for images. */
export const clip = createLoader<ClipEmbedder>({
  async open(choice, options) {
    const embedder = await ImageTextEmbedder.load(choice.model, options);
    // If this load stores nothing, the stored models are those of other loads.
    const stored = options.store === false ? [] : await models.list().catch(() => []);
    void deleteOthers(choice, stored);
    return Object.assign(embedder, { source: sourceOf(choice, embedder.backend, stored) });
  },
  describe: describeImageProblem,
  remember: rememberImageChoice,
  onReady: ({ backend }) => void keepUsedFiles(backend, [decoders]),
});

/**
 * Names the source of a model's vectors, because vectors of different sources cannot be compared: the model, the digest of its files
 * if that is known, the format of its weights, and the build that computes.
 */
function sourceOf(choice: Choice, { device, dtype, simd }: BackendReport, stored: readonly StoredModel[]): string {
  const kept = stored.find((one) => isModelOf(choice, one) && one.part === 'image' && one.dtype === dtype && one.whole);
  return [choice.model, kept?.digest, dtype, device === 'webgpu' ? device : simd].filter(Boolean).join(' ');
}

/** Deletes the weights that came with earlier versions of this page, which are not used any more. */
async function deleteOthers(choice: Choice, stored: readonly StoredModel[]): Promise<void> {
  if (choice.revision === undefined) return;
  try {
    for (const one of stored) {
      if (isModelOf(choice, one) && one.revision !== choice.revision) await models.delete(one.key);
    }
  } catch {
    // They take some space, and the page of the models lists them.
  }
}

/** Puts a failed load of a model for images into words. */
export function describeImageProblem(error: unknown, choice: Choice): Problem {
  const problem = describeProblem(error, choice);
  if (problem.code === 'UNSUPPORTED_MODEL')
    return { ...problem, advice: 'This page runs CLIP models, such as openai/clip-vit-base-patch32.' };
  if (problem.code === 'FETCH_FAILED' && modelOf(choice).id === 'tiny' && navigator.onLine) {
    return {
      ...problem,
      title: 'The tiny model could not be fetched',
      advice: 'It is a file of this page itself. Check your connection and try again, or reload the page.',
      remedies: ['retry', 'reload', 'settings'],
    };
  }
  return problem;
}
