import type * as Api from '../types/index.js';
import { abortable, signalOf } from './abort.js';
import { type Cores, chooseBackend } from './backend.js';
import { isReadOnce } from './byte-sources.js';
import type { Caller } from './caller.js';
import { checkModel, checkObject } from './check.js';
import { PilotlightError, toPilotlightError } from './error.js';
import type { ImageTextEmbedderHandle } from './glue.js';
import { pictureOf } from './images.js';
import { Load } from './load.js';
import { ModelHandle } from './model-handle.js';

/** Only `load` may construct. */
const CONSTRUCT = Symbol('pilotlight');

const TOWERS: readonly Api.Tower[] = ['text', 'image'];

/** What CLIP's authors found to help: a label alone is seldom what a caption says. */
const TEMPLATE = 'a photo of a {}.';

/** The `ImageTextEmbedder` class over the cores of one runtime. */
export function imageTextEmbedderOn(cores: Cores): typeof Api.ImageTextEmbedder {
  class ImageTextEmbedder {
    readonly dimensions: number;
    readonly maxTokens: number | undefined;
    readonly towers: readonly Api.Tower[];
    readonly backend: Api.BackendReport;
    readonly #model: ModelHandle<ImageTextEmbedderHandle>;
    /** To be called at the first answer. */
    #answered: (() => void) | undefined;

    constructor(
      key: symbol,
      model: ModelHandle<ImageTextEmbedderHandle>,
      handle: ImageTextEmbedderHandle,
      towers: readonly Api.Tower[],
      backend: Api.BackendReport,
      answered: () => void,
    ) {
      if (key !== CONSTRUCT)
        throw new PilotlightError(
          'INVALID_INPUT',
          'ImageTextEmbedder has no constructor: use ImageTextEmbedder.load()',
        );
      this.#model = model;
      this.dimensions = handle.dimensions;
      this.maxTokens = handle.maxTokens;
      this.towers = towers;
      this.backend = backend;
      this.#answered = answered;
    }

    static async load(model: string, options: Api.ImageTextLoadOptions = {}): Promise<ImageTextEmbedder> {
      try {
        const signal = signalOf(checkObject('options', options));
        checkModel(model, options);
        const towers = towersOf(options);
        if (towers.length > 1) checkReadTwice(options.files);
        const { instance, report } = await abortable(chooseBackend(cores, options), signal);
        const { device, dtype } = report;
        const load = new Load(model, { ...options, towers, device, dtype });
        const handle = await load.run(instance, ({ ImageTextEmbedderHandle }, resolved) =>
          ImageTextEmbedderHandle.load(model, resolved),
        );
        return new ImageTextEmbedder(
          CONSTRUCT,
          new ModelHandle('ImageTextEmbedder', instance, handle),
          handle,
          towers,
          report,
          () => load.refresh(instance),
        );
      } catch (error) {
        throw toPilotlightError(error);
      }
    }

    async embedTexts(texts: string | readonly string[], options: Api.EmbedOptions = {}): Promise<Api.Embeddings> {
      return this.#call(options, (handle, caller) => handle.embedTexts(texts, { ...options, caller }));
    }

    async embedImages(
      images: Api.ImageSource | readonly Api.ImageSource[],
      options: Api.EmbedImagesOptions = {},
    ): Promise<Api.ImageEmbeddings> {
      return this.#call(options, async (handle, caller) => {
        this.#need('image');
        const decoder = decoderOf(options);
        const report = listenerOf(options);
        const signal = signalOf(options);
        const sources = Array.isArray(images) ? (images as readonly Api.ImageSource[]) : [images as Api.ImageSource];
        const total = sources.length;
        let failure: unknown;
        // A picture is read only when the one before is done: a folder of photos does not fit into memory.
        const read = async (index: number) => {
          if (index > 0) report(index, total);
          try {
            return await pictureOf(sources[index] as Api.ImageSource, `images[${index}]`, decoder, signal);
          } catch (error) {
            failure = error;
            throw error;
          }
        };
        try {
          const embeddings = await handle.embedImages(total, read, { ...options, caller });
          if (total > 0) report(total, total);
          return embeddings;
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
      return this.#call(options, async (handle, caller) => {
        this.#need('text');
        this.#need('image');
        if (!Array.isArray(labels))
          throw new PilotlightError('INVALID_INPUT', `labels: expected an array of strings, got ${typeof labels}`);
        const picture = await pictureOf(image, 'image', decoderOf(options), signalOf(options));
        return handle.classify(picture, labels, options.template ?? TEMPLATE, { ...options, caller });
      });
    }

    dispose(): void {
      this.#model.dispose();
    }

    /** In the core's words, but before a picture is fetched in vain. */
    #need(tower: Api.Tower): void {
      if (!this.towers.includes(tower))
        throw new PilotlightError('INVALID_INPUT', `the ${tower} tower was not loaded: have '${tower}' in towers`);
    }

    async #call<T>(options: object, work: (handle: ImageTextEmbedderHandle, caller: Caller) => Promise<T>): Promise<T> {
      const result = await this.#model.call(options, work);
      this.#answered?.();
      this.#answered = undefined;
      return result;
    }
  }
  return ImageTextEmbedder as unknown as typeof Api.ImageTextEmbedder;
}

function towersOf({ towers = TOWERS }: Api.ImageTextLoadOptions): Api.Tower[] {
  // Names are the core's to check.
  if (Array.isArray(towers)) return [...new Set(towers as readonly Api.Tower[])];
  throw new PilotlightError(
    'INVALID_INPUT',
    `towers: expected an array of 'text' and 'image', got ${towers === null ? 'null' : typeof towers}`,
  );
}

/** Small files that only one tower reads. */
const READ_ONCE = ['tokenizer.json', 'preprocessor_config.json'];

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

/** Tells the caller's listener; one that throws does not break the call. */
function listenerOf({ onProgress }: Api.EmbedImagesOptions): (done: number, total: number) => void {
  const listener: unknown = onProgress;
  if (listener === undefined || listener === null) return () => {};
  if (typeof listener !== 'function')
    throw new PilotlightError('INVALID_INPUT', `onProgress: expected a function, got ${typeof listener}`);
  return (done, total) => {
    try {
      onProgress?.({ done, total });
    } catch {
      // As while loading.
    }
  };
}

function decoderOf({ decoder = 'pilotlight' }: { decoder?: unknown }): 'pilotlight' | 'browser' {
  if (decoder === 'pilotlight' || decoder === 'browser') return decoder;
  throw new PilotlightError(
    'INVALID_INPUT',
    `decoder: expected 'pilotlight' or 'browser', got ${typeof decoder === 'string' ? `'${decoder}'` : typeof decoder}`,
  );
}
