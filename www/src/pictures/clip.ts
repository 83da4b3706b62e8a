import { type BackendReport, ImageTextEmbedder, models, type StoredModel } from 'pilotlight';
import { type Choice, isModelOf } from '../engine/choice';
import { createLoader, type LoaderState } from '../engine/loader';
import { describeProblem, type Problem } from '../engine/problem';
import { keepUsedFiles } from '../page/offline';
import { modelOf, rememberPictureChoice } from './picture-models';

/** With what its vectors are of. */
export type ClipEmbedder = ImageTextEmbedder & { readonly source: string };

export type ClipState = LoaderState<ClipEmbedder>;

/** The one model for pictures of this page. */
export const clip = createLoader<ClipEmbedder>({
  async open(choice, options) {
    const embedder = await ImageTextEmbedder.load(choice.model, options);
    // What is stored is another load's, where this one keeps nothing.
    const stored = options.store === false ? [] : await models.list().catch(() => []);
    void deleteOthers(choice, stored);
    return Object.assign(embedder, { source: sourceOf(choice, embedder.backend, stored) });
  },
  describe: describePictureProblem,
  remember: rememberPictureChoice,
  onReady: () => void keepUsedFiles(),
});

/** What makes a model's vectors: its name, the digest of its files where that is known, how its weights are kept, and which build computes. */
function sourceOf(choice: Choice, { device, dtype, simd }: BackendReport, stored: readonly StoredModel[]): string {
  const kept = stored.find((one) => isModelOf(choice, one) && one.part === 'image' && one.dtype === dtype && one.whole);
  return [choice.model, kept?.digest, dtype, device === 'webgpu' ? device : simd].filter(Boolean).join(' ');
}

/** Weights that came with former versions of this page: nothing will ask for them again. */
async function deleteOthers(choice: Choice, stored: readonly StoredModel[]): Promise<void> {
  if (choice.revision === undefined) return;
  try {
    for (const one of stored) {
      if (isModelOf(choice, one) && one.revision !== choice.revision) await models.delete(one.key);
    }
  } catch {
    // They take some room, and the page of the models shows them.
  }
}

export function describePictureProblem(error: unknown, choice: Choice): Problem {
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
