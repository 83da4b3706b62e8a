import type { ImageTextEmbedderHandle } from '#core/cpu.js';
import { images as imageCode } from '#runtime';
import type * as Api from '../types/index.js';
import { signalOf } from './calls/abort.js';
import { checkListener, checkModel, checkObject, shown } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { ModelHandle } from './calls/model-handle.js';
import { type DecodeImage, decodeWith } from './core/image-decoder.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { isReadOnce } from './inputs/byte-sources.js';
import { imageInputOf } from './inputs/images.js';
import { choosePlace } from './worker/beside.js';

const TOWERS: readonly Api.Tower[] = ['text', 'image'];

/** The default template of `classify`, from CLIP's authors: it raises accuracy, because captions seldom are a label alone. */
const TEMPLATE = 'a photo of a {}.';

/** Embeds images and texts in one space: the towers of CLIP or SigLIP in a core, with their queue. */
export class ImageTextEmbedder implements Api.ImageTextEmbedder {
  readonly dimensions: number;
  // Declared, not defined, so that the property is absent without the text tower.
  declare readonly maxTokens?: number;
  readonly towers: readonly Api.Tower[];
  readonly #model: ModelHandle<ImageTextEmbedderHandle>;

  constructor(key: symbol, model: ModelHandle<ImageTextEmbedderHandle>, towers: readonly Api.Tower[]) {
    checkConstruct(key, 'ImageTextEmbedder');
    const { dimensions, maxTokens } = model.handle;
    this.#model = model;
    this.dimensions = dimensions;
    if (maxTokens !== undefined) this.maxTokens = maxTokens;
    this.towers = towers;
  }

  static async load(model: string, options: Api.ImageTextLoadOptions = {}): Promise<ImageTextEmbedder> {
    try {
      signalOf(checkObject('options', options));
      checkModel(model, options);
      const towers = towersOf(options);
      if (towers.length > 1) checkReadTwice(options.files);
      const resolved = { ...options, towers };
      const own = await ModelHandle.load<ImageTextEmbedderHandle>({
        name: 'ImageTextEmbedder',
        model,
        options: resolved,
        place: choosePlace,
        load: ({ ImageTextEmbedderHandle }, given) => ImageTextEmbedderHandle.load(model, given),
      });
      return new ImageTextEmbedder(CONSTRUCT, own, towers);
    } catch (error) {
      throw toPilotlightError(error);
    }
  }

  async embedTexts(texts: string | readonly string[], options: Api.EmbedOptions = {}): Promise<Api.Embeddings> {
    return this.#model.call(options, (handle, caller) => handle.embedTexts(texts, { ...options, caller }));
  }

  async embedImages(
    images: Api.ImageSource | readonly Api.ImageSource[],
    options: Api.EmbedImagesOptions & { onError: 'report' },
  ): Promise<Api.ReportedImages>;
  async embedImages(
    images: Api.ImageSource | readonly Api.ImageSource[],
    options?: Api.EmbedImagesOptions,
  ): Promise<Api.ImageEmbeddings>;
  async embedImages(
    images: Api.ImageSource | readonly Api.ImageSource[],
    options: Api.EmbedImagesOptions = {},
  ): Promise<Api.ImageEmbeddings> {
    return this.#model.call(options, async (handle, caller) => {
      this.#need('image');
      const decoder = decoderOf(options);
      const progress = listenerOf(options);
      const reports = reportsOf(options);
      const signal = signalOf(options);
      const sources = Array.isArray(images) ? (images as readonly Api.ImageSource[]) : [images as Api.ImageSource];
      const total = sources.length;
      const unread = new Map<number, PilotlightError>();
      let failure: unknown;
      // An image is read only when the one before is done: a folder of photos does not fit into memory.
      const read = async (index: number) => {
        if (index > 0) progress(index, total);
        try {
          return await imageInputOf(sources[index] as Api.ImageSource, `images[${index}]`, decoder, signal);
        } catch (error) {
          const own = toPilotlightError(error);
          if (reports && own.code !== 'ABORTED') {
            unread.set(index, own);
            // The core reports an image that is none.
            return undefined;
          }
          failure = error;
          throw error;
        }
      };
      const decodeImage = decoding((error) => {
        failure = error;
      });
      try {
        const given = { ...options, caller, decodeImage };
        const { data, dims, errors } = await handle.embedImages(total, read, reports, given);
        if (total > 0) progress(total, total);
        return reports ? reported(total, { data, dims }, errors, unread) : { data, dims };
      } catch (error) {
        throw failure ?? error;
      }
    });
  }

  async classify(
    image: Api.ImageSource,
    labels: readonly string[],
    options: Api.ClassifyOptions = {},
  ): Promise<Api.LabelScore[]> {
    return this.#model.call(options, async (handle, caller) => {
      this.#need('text');
      this.#need('image');
      if (!Array.isArray(labels))
        throw new PilotlightError('INVALID_INPUT', `labels: expected an array of strings, got ${typeof labels}`);
      const input = await imageInputOf(image, 'image', decoderOf(options), signalOf(options));
      let failure: unknown;
      const decodeImage = decoding((error) => {
        failure = error;
      });
      try {
        return await handle.classify(input, labels, options.template ?? TEMPLATE, { ...options, caller, decodeImage });
      } catch (error) {
        throw failure ?? error;
      }
    });
  }

  get backend(): Api.BackendReport {
    return this.#model.backend;
  }

  dispose(): void {
    this.#model.dispose();
  }

  /** Throws where a tower was not loaded, with the core's message, but before an image is fetched in vain. */
  #need(tower: Api.Tower): void {
    if (!this.towers.includes(tower))
      throw new PilotlightError('INVALID_INPUT', `the ${tower} tower was not loaded: have '${tower}' in towers`);
  }
}

/** The decoder of a call. `onFailure` hears why its code cannot be had. */
function decoding(onFailure: (error: unknown) => void): DecodeImage {
  return decodeWith(async () => {
    try {
      return await imageCode.module();
    } catch (error) {
      onFailure(error);
      throw error;
    }
  });
}

function towersOf({ towers = TOWERS }: Api.ImageTextLoadOptions): Api.Tower[] {
  // The core checks the names.
  if (Array.isArray(towers)) return [...new Set(towers as readonly Api.Tower[])];
  throw new PilotlightError(
    'INVALID_INPUT',
    `towers: expected an array of 'text' and 'image', got ${towers === null ? 'null' : typeof towers}`,
  );
}

/** Files that only one tower reads. */
const READ_ONCE = [
  'tokenizer.json',
  'tokenizer_config.json',
  'vocab.json',
  'merges.txt',
  'preprocessor_config.json',
  'processor_config.json',
];

function checkReadTwice(files: Api.LoadOptions['files']): void {
  for (const [name, source] of Object.entries(files ?? {})) {
    if (isReadOnce(source) && !READ_ONCE.includes(name)) {
      throw new PilotlightError(
        'INVALID_INPUT',
        `files: ${name} can be read once only, and both towers need it; give a Blob or bytes, or load one tower`,
      );
    }
  }
}

/** Returns a function that calls `onProgress`. A listener that throws does not break the call. */
function listenerOf(options: Api.EmbedImagesOptions): (loaded: number, total: number) => void {
  checkListener(options);
  const { onProgress } = options;
  return (loaded, total) => {
    try {
      onProgress?.({ loaded, total });
    } catch {
      // Loading ignores what a listener throws, too.
    }
  };
}

function reportsOf({ onError = 'throw' }: { onError?: unknown }): boolean {
  if (onError === 'throw' || onError === 'report') return onError === 'report';
  throw new PilotlightError('INVALID_INPUT', `onError: expected 'throw' or 'report', got ${shown(onError)}`);
}

/** Joins vectors with the errors of the images that have none: `failures` are the core's, each after its index. */
function reported(
  total: number,
  embeddings: Api.ImageEmbeddings,
  failures: readonly unknown[],
  unread: ReadonlyMap<number, PilotlightError>,
): Api.ReportedImages {
  const errors: Api.ReportedImages['errors'] = [];
  for (let i = 0; i < failures.length; i += 2) {
    const index = failures[i] as number;
    errors.push({ index, error: unread.get(index) ?? toPilotlightError(failures[i + 1]) });
  }
  const bad = new Set(errors.map(({ index }) => index));
  const indices = Array.from({ length: total }, (_, i) => i).filter((i) => !bad.has(i));
  return { ...embeddings, indices, errors };
}

function decoderOf({ decoder = 'pilotlight' }: { decoder?: unknown }): 'pilotlight' | 'browser' {
  if (decoder === 'pilotlight' || decoder === 'browser') return decoder;
  throw new PilotlightError(
    'INVALID_INPUT',
    `decoder: expected 'pilotlight' or 'browser', got ${typeof decoder === 'string' ? `'${decoder}'` : typeof decoder}`,
  );
}
