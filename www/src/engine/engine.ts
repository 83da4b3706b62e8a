import { TextEmbedder, type LoadOptions, type LoadProgress } from 'pilotlight';
import { optionsFor, remember, type Choice } from './choice';
import { describeProblem, type Problem } from './problem';
import { resumption } from './resumption';

/** Where the one model of this page stands. `resumedAt`: bytes that an earlier load, which broke off, had left; else 0. */
export type EngineState =
  | { status: 'idle' }
  | { status: 'loading'; choice: Choice; progress: LoadProgress | null; resumedAt: number }
  | { status: 'ready'; choice: Choice; embedder: TextEmbedder; seconds: number; bytes: number; fromStore: boolean; resumedAt: number }
  | { status: 'failed'; choice: Choice; problem: Problem };

/** A page that is drawn at every chunk from the store would wait for the drawing. */
const SHOW_EVERY_MS = 50;

let state: EngineState = { status: 'idle' };
let controller: AbortController | null = null;
const listeners = new Set<() => void>();

function become(next: EngineState) {
  state = next;
  for (const listener of listeners) listener();
}

/** A store for React's `useSyncExternalStore`, so that loading can begin before the page is drawn. */
export const engine = {
  subscribe(listener: () => void) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },

  state: () => state,

  async load(choice: Choice, keep = true): Promise<void> {
    controller?.abort();
    if (state.status === 'ready') state.embedder.dispose();
    const mine = new AbortController();
    controller = mine;
    become({ status: 'loading', choice, progress: null, resumedAt: 0 });

    const started = performance.now();
    const resumed = resumption();
    let last: LoadProgress | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      clearTimeout(timer);
      timer = undefined;
      if (controller === mine && state.status === 'loading') become({ status: 'loading', choice, progress: last, resumedAt: resumed.at() });
    };
    const options: LoadOptions = {
      ...optionsFor(choice),
      signal: mine.signal,
      onProgress(event) {
        const turned = event.status !== last?.status;
        last = event;
        resumed.see(event);
        if (turned) show();
        else timer ??= setTimeout(show, SHOW_EVERY_MS);
      },
      ...(keep ? {} : { store: false as const }),
    };
    try {
      const embedder = await TextEmbedder.load(choice.model.trim(), options);
      if (controller !== mine) return embedder.dispose();
      performance.mark('pilotlight:ready');
      if (keep) remember(choice);
      const end = last as LoadProgress | null;
      become({
        status: 'ready',
        choice,
        embedder,
        seconds: (performance.now() - started) / 1000,
        bytes: end?.loaded ?? 0,
        fromStore: end?.cached ?? false,
        resumedAt: resumed.at(),
      });
    } catch (error) {
      if (controller === mine) become({ status: 'failed', choice, problem: describeProblem(error, choice) });
    }
  },

  cancel() {
    controller?.abort();
  },

  /** A call on a loaded model failed in a way that leaves the model unusable. */
  fail(error: unknown) {
    if (state.status === 'ready') become({ status: 'failed', choice: state.choice, problem: describeProblem(error, state.choice) });
  },

  /** Back to the form, after a failure. */
  reset() {
    controller = null;
    remember(null);
    become({ status: 'idle' });
  },
};
