import { DigitGenerator, ImageTextEmbedder, TextEmbedder, VectorIndex } from '#pilotlight';
import type * as Api from '../../types/index.js';
import type * as ReactApi from '../../types/react.js';
import { type Loaded, useShared } from './use-shared.js';

type Options<Own> = Own & ReactApi.SuspenseOptions;

/** The options of a load as its key has them: without `suspense`, and without the two that a hook gives itself. */
function loadOptions<Own extends object>(options: Own): Omit<Own, 'suspense' | 'signal' | 'onProgress'> {
  const { suspense: _, signal: __, onProgress: ___, ...rest } = options as Own & Record<string, unknown>;
  return rest as Omit<Own, 'suspense' | 'signal' | 'onProgress'>;
}

const named = <Name extends string, T>(name: Name, { value, ...rest }: Loaded<T>): never =>
  // The state's parts go together as the published types say, which the compiler cannot see.
  ({ [name]: value, ...rest }) as never;

/** Shares a sentence encoder. */
export const useTextEmbedder = ((model: string | null | undefined, given: Options<Api.TextLoadOptions> = {}) => {
  const options = loadOptions(given);
  const shared = useShared(
    'TextEmbedder',
    typeof model === 'string' ? [model, options] : undefined,
    (opening) => TextEmbedder.load(model as string, { ...options, ...opening }),
    given.suspense,
  );
  return named('embedder', shared);
}) as typeof ReactApi.useTextEmbedder;

/** Shares a model for images and texts. */
export const useImageTextEmbedder = ((
  model: string | null | undefined,
  given: Options<Api.ImageTextLoadOptions> = {},
) => {
  const options = loadOptions(given);
  const shared = useShared(
    'ImageTextEmbedder',
    typeof model === 'string' ? [model, options] : undefined,
    (opening) => ImageTextEmbedder.load(model as string, { ...options, ...opening }),
    given.suspense,
  );
  return named('embedder', shared);
}) as typeof ReactApi.useImageTextEmbedder;

/** Shares a digit generator. */
export const useDigitGenerator = ((given: Options<Api.DigitLoadOptions> | null = {}) => {
  const options = loadOptions(given ?? {});
  const shared = useShared(
    'DigitGenerator',
    given ? [options] : undefined,
    (opening) => DigitGenerator.load({ ...options, ...opening }),
    given?.suspense,
  );
  return named('generator', shared);
}) as typeof ReactApi.useDigitGenerator;

type IndexOptions = Api.VectorIndexOptions & Api.StoreOptions;

/** Shares an index by its name. */
export const useVectorIndex = ((name: string | null | undefined, given: Options<IndexOptions> | null | undefined) => {
  const options = loadOptions(given ?? ({} as IndexOptions));
  const shared = useShared(
    'VectorIndex',
    typeof name === 'string' && given ? [name, options] : undefined,
    () => openIndex(name as string, options),
    given?.suspense,
  );
  return named('index', shared);
}) as typeof ReactApi.useVectorIndex;

async function openIndex(name: string, { store, ...options }: IndexOptions): Promise<VectorIndex> {
  const saved = await VectorIndex.load(name, store === undefined ? {} : { store });
  const kinds = ['dimensions', 'precision', 'metric', 'prefilter', 'source'] as const;
  if (saved && kinds.every((kind) => options[kind] === undefined || options[kind] === saved[kind])) return saved;
  saved?.dispose();
  return VectorIndex.create(options);
}
