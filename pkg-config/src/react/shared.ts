import type { LoadProgress, PilotlightError } from '../../types/index.js';

/** The least time between two renderings of the progress: to render at every chunk would slow the load. */
const SHOW_EVERY_MS = 50;

/** The time for which an unused object is kept: the next page of an app, or React's second mounting in development, may use it again. */
const GRACE_MS = 1000;

/** The time for which an object is kept that no component has used yet, because all components that wait for it are suspended. */
const UNUSED_MS = 30_000;

export interface State<T> {
  readonly status: 'idle' | 'loading' | 'ready' | 'failed';
  readonly value: T | undefined;
  readonly progress: LoadProgress | undefined;
  readonly error: PilotlightError | undefined;
}

const NOTHING = { value: undefined, progress: undefined, error: undefined } as const;

/** The state where nothing was asked for, and the one before a load has begun, which is also that of a server. */
export const IDLE: State<never> = { status: 'idle', ...NOTHING };
export const LOADING: State<never> = { status: 'loading', ...NOTHING };

export interface Opening {
  signal: AbortSignal;
  onProgress: (event: LoadProgress) => void;
}

export type Open<T> = (opening: Opening) => Promise<T>;

interface Disposable {
  dispose(): void;
}

const all = /* @__PURE__ */ new Map<string, Shared<Disposable>>();

/** An object that is loaded once for all components that ask for it by the same key. */
export class Shared<T extends Disposable> {
  state: State<T> = LOADING;
  readonly #key: string;
  readonly #open: Open<T>;
  readonly #listeners = new Set<() => void>();
  #load: AbortController | undefined;
  #leaving: ReturnType<typeof setTimeout> | undefined;
  #settled: Promise<void> = Promise.resolve();
  #wasUsed = false;

  private constructor(key: string, open: Open<T>) {
    this.#key = key;
    this.#open = open;
  }

  /** Returns the object of a key; `undefined` if no component has asked for it. The key names the kind of object, which is `T`. */
  static find<T extends Disposable>(key: string): Shared<T> | undefined {
    return all.get(key) as Shared<T> | undefined;
  }

  /** Returns the object of a key, and begins to load it unless that was done. */
  static of<T extends Disposable>(key: string, open: Open<T>): Shared<T> {
    const known = Shared.find<T>(key);
    if (known) return known;
    const fresh = new Shared(key, open);
    all.set(key, fresh as Shared<Disposable>);
    fresh.#begin();
    return fresh;
  }

  /** Keeps the object for a component, until the returned function is called. */
  use(listener: () => void): () => void {
    clearTimeout(this.#leaving);
    this.#wasUsed = true;
    // Each use is one entry, also when a component gives the same listener twice.
    const own = () => listener();
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
      this.#leaveIn(GRACE_MS);
    };
  }

  /** Resolves when the load under way has ended, with or without an error. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  /** Loads again, unless a load is under way. */
  retry(): void {
    if (this.state.status === 'loading') return;
    this.state.value?.dispose();
    this.#begin();
  }

  #begin(): void {
    const load = new AbortController();
    this.#load = load;
    let progress: LoadProgress | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const show = () => {
      timer = undefined;
      if (this.#load === load && this.state.status === 'loading') this.#become({ ...LOADING, progress });
    };
    const onProgress = (event: LoadProgress) => {
      progress = event;
      timer ??= setTimeout(show, SHOW_EVERY_MS);
    };
    const end = (state: State<T>) => {
      clearTimeout(timer);
      this.#become(state);
      if (!this.#wasUsed) this.#leaveIn(state.status === 'ready' ? UNUSED_MS : GRACE_MS);
    };
    this.#become(LOADING);
    this.#settled = this.#open({ signal: load.signal, onProgress }).then(
      (value) => {
        if (this.#load === load) end({ status: 'ready', value, progress, error: undefined });
        else value.dispose();
      },
      (error: PilotlightError) => {
        if (this.#load === load) end({ status: 'failed', value: undefined, progress, error });
      },
    );
  }

  #become(state: State<T>): void {
    this.state = state;
    for (const listener of this.#listeners) listener();
  }

  #leaveIn(milliseconds: number): void {
    clearTimeout(this.#leaving);
    if (this.#listeners.size > 0) return;
    this.#leaving = setTimeout(() => this.#leave(), milliseconds);
    // A server or a test that is done does not wait for it.
    (this.#leaving as { unref?: () => void }).unref?.();
  }

  #leave(): void {
    all.delete(this.#key);
    this.#load?.abort();
    this.#load = undefined;
    this.state.value?.dispose();
  }
}
