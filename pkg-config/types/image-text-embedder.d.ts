import type { BackendReport, Embeddings, EmbedOptions, LoadOptions, PilotlightError, Progress } from './index.js';

/** One of the two encoders of CLIP or SigLIP: the one for texts, or the one for images. */
export type Tower = 'text' | 'image';

export interface ImageTextLoadOptions extends LoadOptions {
  /**
   * The towers to load; default both. Each tower is fetched, kept and listed by itself: text search over saved vectors needs
   * `['text']` only, which an ONNX file of that tower serves. A stream in `files` can be read once, so give both towers bytes or a `Blob`.
   */
  towers?: readonly Tower[];
}

/** An image: a file's bytes in any form, its URL, or pixels. PNG, JPEG, WebP and GIF (the first frame) are decoded. */
export type ImageSource =
  | Blob
  | Uint8Array
  | ArrayBuffer
  | URL
  | string
  | ImageData
  | ImageBitmap
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas;

interface DecodeOptions {
  /**
   * The decoder of image files. `'pilotlight'`, the default, gives the same pixels in every browser and in Node; `'browser'` may
   * know more formats (AVIF) and differs in the last bits.
   */
  decoder?: 'pilotlight' | 'browser';
}

export interface EmbedImagesOptions extends EmbedOptions, DecodeOptions {
  /**
   * The treatment of an image that cannot be read: `'throw'`, the default, ends the call, and the vectors of the others are lost;
   * `'report'` leaves the image out and lists it in `errors`.
   */
  onError?: 'throw' | 'report';
  /** Called after each image. */
  onProgress?: (progress: Progress) => void;
}

/** Vectors of images. */
export type ImageEmbeddings = Pick<Embeddings, 'data' | 'dims'>;

/** Vectors of the images that could be read, and the errors of the others. */
export interface ReportedImages extends ImageEmbeddings {
  /** The index of each row's image among those that were given. */
  indices: number[];
  errors: { index: number; error: PilotlightError }[];
}

export interface ClassifyOptions extends DecodeOptions {
  /**
   * A caption with `{}` where the label goes; default `'a photo of a {}.'`. With several templates, the vectors of each label are
   * averaged, which gives steadier scores.
   */
  template?: string | readonly string[];
  /** Cancels between layers; the promise rejects with code `'ABORTED'`. */
  signal?: AbortSignal;
}

/** A label with its probability, 0 to 1. */
export interface LabelScore {
  label: string;
  score: number;
}

/** Encodes images and texts as vectors of one space: the cosine of an image and a text measures how well the text describes it. */
export declare class ImageTextEmbedder {
  private constructor();
  /**
   * Loads a model of CLIP or SigLIP, such as `'openai/clip-vit-base-patch32'` or `'google/siglip-base-patch16-224'`, each tower from the
   * store when it is there, else from the host.
   * @throws {PilotlightError} `INVALID_INPUT`, `FETCH_FAILED`, `INTEGRITY`, `INVALID_WEIGHTS`, `UNSUPPORTED_MODEL`, `RESOURCE_LIMIT`,
   * `QUOTA_EXCEEDED`, `BACKEND_UNAVAILABLE`, `ABORTED`
   */
  static load(model: string, options?: ImageTextLoadOptions): Promise<ImageTextEmbedder>;
  /**
   * Embeds texts; vectors have length one, and the same text gives the same vector whatever else is in the batch.
   * Calls on one embedder run one after another; one that is aborted while it waits rejects at once.
   * @throws {PilotlightError} `INVALID_INPUT`, also without the text tower, `INVALID_WEIGHTS` where the tokenizer gives an id that the
   * model does not have, `RESOURCE_LIMIT`, `ABORTED`, `DISPOSED`
   */
  embedTexts(texts: string | readonly string[], options?: EmbedOptions): Promise<Embeddings>;
  /**
   * Embeds images; vectors have length one. One image is read and decoded at a time, on the calling thread, which yields to the
   * event loop between layers. Transparent pixels are blended with white; EXIF orientation is applied. Memory grows with the
   * largest image, three to sixteen bytes a pixel, and is freed only with the page.
   * @throws {PilotlightError} naming the image by its index: `INVALID_INPUT` for a broken image or another kind of value, also
   * without the image tower, `RESOURCE_LIMIT` over 50 million pixels or 256 MB, `FETCH_FAILED` for a URL, `BACKEND_UNAVAILABLE`
   * where the runtime has no canvas or decoder that the image needs, `ABORTED`, `DISPOSED`. With `onError: 'report'` only errors that are
   * not about one image are thrown.
   */
  embedImages(
    images: ImageSource | readonly ImageSource[],
    options: EmbedImagesOptions & { onError: 'report' },
  ): Promise<ReportedImages>;
  embedImages(images: ImageSource | readonly ImageSource[], options?: EmbedImagesOptions): Promise<ImageEmbeddings>;
  /**
   * Scores how likely each label is for an image, the likeliest first. With CLIP the scores sum to one; with SigLIP each label is scored
   * by itself, so that none or several may be likely. The vectors of the last call's labels are kept. Both towers are needed.
   * @throws {PilotlightError} as `embedImages`, `INVALID_INPUT` for invalid labels or templates, and `UNSUPPORTED_MODEL` where the
   * weights come from ONNX files of one tower each, which lack the scale of scores; `tensor` is its name
   */
  classify(image: ImageSource, labels: readonly string[], options?: ClassifyOptions): Promise<LabelScore[]>;
  /** The number of values of a vector. */
  readonly dimensions: number;
  /** The longest text in tokens; absent without the text tower. */
  readonly maxTokens?: number;
  /** The towers that were loaded. */
  readonly towers: readonly Tower[];
  readonly backend: BackendReport;
  /** Frees the model's memory when the calls made before have settled. Later calls reject with `'DISPOSED'`. It never throws, also when called twice. */
  dispose(): void;
}
