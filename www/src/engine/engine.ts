import { TextEmbedder } from 'pilotlight';
import { remember } from './choice';
import { createLoader, type LoaderState } from './loader';
import { describeProblem } from './problem';

export type EngineState = LoaderState<TextEmbedder>;

/** The loader of the page's sentence encoder. */
export const engine = createLoader<TextEmbedder>({
  open: (choice, options) => TextEmbedder.load(choice.model.trim(), options),
  describe: describeProblem,
  remember,
  onReady: () => performance.mark('pilotlight:ready'),
});
