import type { LoadOptions, LoadProgress } from 'pilotlight';
import { type Choice, optionsFor } from './choice';
import type { Problem } from './problem';
import { resumption } from './resumption';

/** The state of a model of this page. `resumedAt` is the number of bytes that an interrupted load had left; 0 where there was none. */
export type LoaderState<E> =
  | { status: 'idle' }
  | { status: 'loading'; choice: Choice; progress: LoadProgress | null; resumedAt: number }
  | {
      status: 'ready';
      choice: Choice;
      embedder: E;
      seconds: number;
      bytes: number;
      fromStore: boolean;
      resumedAt: number;
    }
  | { status: 'failed'; choice: Choice; problem: Problem };

/** The functions of a loader that depend on the kind of model. */
interface Kind<E> {
  open: (choice: Choice, options: LoadOptions) => Promise<E>;
  describe: (error: unknown, choice: Choice) => Problem;
  /** Called with each choice that was loaded and stored, which the next visit loads by itself, and with null when there is none. */
  remember: (choice: Choice | null) => void;
  onReady?: (embedder: E) => void;
}

/** The least time between two renderings of the progress: to render at every chunk would slow the load. */
const SHOW_EVERY_MS = 50;

/**
 * Makes the loader of one kind of model, which holds one model at a time.
 * It is a store for React's `useSyncExternalStore`, so that a load can begin before the page is rendered.
 */
export function createLoader<E extends { dispose(): void }>({ open, describe, remember, onReady }: Kind<E>) {
  let state: LoaderState<E> = { status: 'idle' };
  let controller: AbortController | null = null;
  const listeners = new Set<() => void>();

  function become(next: LoaderState<E>) {
    state = next;
    for (const listener of listeners) listener();
  }

  return {
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
        if (controller === mine && state.status === 'loading')
          become({ status: 'loading', choice, progress: last, resumedAt: resumed.at() });
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
        const embedder = await open(choice, options);
        if (controller !== mine) return embedder.dispose();
        onReady?.(embedder);
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
        if (controller === mine) become({ status: 'failed', choice, problem: describe(error, choice) });
      }
    },

    cancel() {
      controller?.abort();
    },

    /** Records that a call on the loaded model failed in a way that leaves the model unusable. */
    fail(error: unknown) {
      if (state.status === 'ready')
        become({ status: 'failed', choice: state.choice, problem: describe(error, state.choice) });
    },

    /** Goes back to the form after a failure. */
    reset() {
      controller = null;
      remember(null);
      become({ status: 'idle' });
    },
  };
}
