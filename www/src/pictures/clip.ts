import { ImageTextEmbedder, models } from 'pilotlight';
import type { Choice } from '../engine/choice';
import { createLoader, type LoaderState } from '../engine/loader';
import { describeProblem, type Problem } from '../engine/problem';
import { keepUsedFiles } from '../page/offline';
import { modelOf, rememberPictureChoice } from './picture-models';

export type ClipState = LoaderState<ImageTextEmbedder>;

/** The one model for pictures of this page. */
export const clip = createLoader<ImageTextEmbedder>({
  async open(choice, options) {
    const embedder = await ImageTextEmbedder.load(choice.model, options);
    if (options.store !== false) void deleteOthers(choice);
    return embedder;
  },
  describe: describePictureProblem,
  remember: rememberPictureChoice,
  onReady: () => void keepUsedFiles(),
});

/** Weights that came with former versions of this page: nothing will ask for them again. */
async function deleteOthers({ model, host, revision }: Choice): Promise<void> {
  if (revision === undefined) return;
  try {
    for (const stored of await models.list()) {
      if (stored.model === model && stored.host === host && stored.revision !== revision) await models.delete(stored.key);
    }
  } catch {
    // They take some room, and the page of the models shows them.
  }
}

export function describePictureProblem(error: unknown, choice: Choice): Problem {
  const problem = describeProblem(error, choice);
  if (problem.code === 'UNSUPPORTED_MODEL') return { ...problem, advice: 'This page runs CLIP models, such as openai/clip-vit-base-patch32.' };
  if (problem.code === 'FETCH_FAILED' && modelOf(choice).id === 'tiny' && navigator.onLine) {
    return { ...problem, title: 'The tiny model could not be fetched', advice: 'It is a file of this page itself. Check your connection and try again, or reload the page.', remedies: ['retry', 'reload', 'settings'] };
  }
  return problem;
}
