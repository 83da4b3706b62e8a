import type {
  DigitGenerator,
  DigitLoadOptions,
  Embeddings,
  EmbedOptions,
  ImageTextEmbedder,
  ImageTextLoadOptions,
  LoadProgress,
  PilotlightError,
  SearchHit,
  SearchOptions,
  StoreOptions,
  TextEmbedder,
  TextLoadOptions,
  VectorIndex,
  VectorIndexOptions,
} from './index.js';

/**
 * The state of a loaded object in a hook; the object itself is the property `Name`. `'idle'` means that the hook was given nothing to load. The
 * progress is that of the last event, also when the load has ended.
 */
export type Loadable<Name extends string, T> = {
  /** Loads again: after a failure, or in place of an object that no longer works. It does nothing while a load is under way. */
  retry: () => void;
} & (
  | ({ status: 'idle'; progress: undefined; error: undefined } & Record<Name, undefined>)
  | ({ status: 'loading'; progress: LoadProgress | undefined; error: undefined } & Record<Name, undefined>)
  | ({ status: 'ready'; progress: LoadProgress | undefined; error: undefined } & Record<Name, T>)
  | ({ status: 'failed'; progress: LoadProgress | undefined; error: PilotlightError } & Record<Name, undefined>)
);

/** The same with `suspense`: while the object is loading the component suspends, and a failure goes to the error boundary. */
export type Suspended<Name extends string, T> = Extract<Loadable<Name, T>, { status: 'ready' }>;

/** The options of a load, without those that a hook sets itself. */
type Own<Options> = Omit<Options, 'signal' | 'onProgress'>;

export interface SuspenseOptions {
  /**
   * Whether the component suspends until the object is there; default `false`. A server renders the fallback then. A component in the
   * fallback may use the same hook without it, and has the progress.
   */
  suspense?: boolean;
}

/**
 * Loads a sentence encoder when the component is mounted; without a model (`null`) it loads none. All components that give the same model
 * and options share one embedder, which is freed a second after the last of them was unmounted; a load that is under way then is aborted.
 * Options are compared by their values; a `store` and bytes in `files` by identity, so they must not be made while rendering.
 * The component must not dispose of the embedder. On a server nothing is loaded.
 */
export declare function useTextEmbedder(
  model: string,
  options: Own<TextLoadOptions> & { suspense: true },
): Suspended<'embedder', TextEmbedder>;
export declare function useTextEmbedder(
  model: string | null | undefined,
  options?: Own<TextLoadOptions> & SuspenseOptions,
): Loadable<'embedder', TextEmbedder>;

/** Loads CLIP or SigLIP, as `useTextEmbedder` loads a sentence encoder. */
export declare function useImageTextEmbedder(
  model: string,
  options: Own<ImageTextLoadOptions> & { suspense: true },
): Suspended<'embedder', ImageTextEmbedder>;
export declare function useImageTextEmbedder(
  model: string | null | undefined,
  options?: Own<ImageTextLoadOptions> & SuspenseOptions,
): Loadable<'embedder', ImageTextEmbedder>;

/** Loads the digit generator, as `useTextEmbedder` loads a sentence encoder; with `null` it loads none. */
export declare function useDigitGenerator(
  options: Own<DigitLoadOptions> & { suspense: true },
): Suspended<'generator', DigitGenerator>;
export declare function useDigitGenerator(
  options?: (Own<DigitLoadOptions> & SuspenseOptions) | null,
): Loadable<'generator', DigitGenerator>;

/**
 * Loads the index that was saved under a name, or makes an empty one if there is none or the saved one has other options: vectors of
 * another `source` cannot be searched. Components share it by its name and options, as with `useTextEmbedder`. With `null` for
 * the name or the options, such as before a model has loaded whose dimensions they need, there is no index. A component that changes the
 * index must save it: changes that were not saved are lost when the last component is unmounted. A change does not render components again.
 */
export declare function useVectorIndex(
  name: string,
  options: VectorIndexOptions & StoreOptions & { suspense: true },
): Suspended<'index', VectorIndex>;
export declare function useVectorIndex(
  name: string | null | undefined,
  options: (VectorIndexOptions & StoreOptions & SuspenseOptions) | null | undefined,
): Loadable<'index', VectorIndex>;

/** A function that embeds a text; it must be the same one in each rendering. */
export type EmbedText<E extends Pick<Embeddings, 'data' | 'dims'>> = (
  text: string,
  options: Pick<EmbedOptions, 'signal'>,
) => Promise<E>;

export interface UseSearchOptions extends SearchOptions {
  /** The number of hits; default 10. */
  k?: number;
  /** The prompt that is put before the text, for a `TextEmbedder`; default that of the model, if it has one. */
  prompt?: string;
  /** Milliseconds after the last change of the text until it is embedded; default 120. */
  delay?: number;
}

/** A search. While it is `'loading'`, it has the hits of the previous text. */
export interface Search<E> {
  /** `'idle'` without a text, `'loading'` until embedder and index are loaded and the text is embedded. */
  status: 'idle' | 'loading' | 'ready' | 'failed';
  /** Always undefined: a search takes milliseconds. */
  progress: undefined;
  /** The error that the embedder or the index threw. */
  error: Error | undefined;
  /** Embeds and searches again: after a failure, or when the index has changed. */
  retry: () => void;
  /** The nearest vectors, the best first; empty without an index. */
  hits: SearchHit[];
  /** The text that the hits and the query belong to. */
  text: string | undefined;
  /** The embedding of this text. */
  query: E | undefined;
}

/**
 * Embeds a text a moment after it was last changed, and searches an index for the nearest vectors. A search for an earlier text is
 * aborted. The index is searched while rendering, so another `k` or filter does not embed the text again. Without an index (`null`) the text
 * is only embedded; an index that is `undefined` is waited for.
 */
export declare function useSearch<E extends Pick<Embeddings, 'data' | 'dims'> = Embeddings>(
  embedder: Pick<TextEmbedder, 'embed'> | Pick<ImageTextEmbedder, 'embedTexts'> | EmbedText<E> | null | undefined,
  index: VectorIndex | null | undefined,
  text: string,
  options?: UseSearchOptions,
): Search<E>;
