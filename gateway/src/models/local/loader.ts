/** The interface of the loaders of local models. Each is in a file of its own, so that a Worker's bundle has only those it names. */
import type { Decoder, LoadOptions, TextEmbedder } from 'pilotlight';
import type { LocalEntry } from '../config.ts';
import type { Model } from '../model.ts';
import type { Compute } from './compute.ts';

export interface LoadRequest {
  entry: LocalEntry;
  /** The name of the repository that the files are of. */
  repository: string;
  /** The options of `load`: the files, the dtype, and others. */
  options: LoadOptions;
  compute: Compute;
  /** The JSON of a detector's `toJSON`, for a classifier of whole texts. */
  head?: object;
}

/** A model, or a head, in the memory of this isolate. */
export interface Loaded {
  /** The member of the model's task. Errors are the package's. */
  calls: Omit<Model, 'info'>;
  dimensions?: number;
  maxTokens?: number;
  /** The models that heads are put on. */
  embedder?: TextEmbedder;
  decoder?: Decoder;
  dispose(): void;
}

export type Loader = (request: LoadRequest) => Promise<Loaded>;

/** The model that a classifier's head is put on. It is asked by its own interface, so that it may run anywhere. */
export interface HeadBase {
  /** The embedder itself, where it is in this isolate: it knows the model that it is of. */
  embedder?: TextEmbedder | undefined;
  dimensions: number;
  embed: NonNullable<Model['embed']>;
}

export interface Loaders {
  embed?: Loader;
  'embed-image'?: Loader;
  /** The encoder of texts of CLIP or SigLIP, for the task `embed`. */
  textTower?: Loader;
  classify?: Loader;
  rerank?: Loader;
  detect?: Loader;
  /** A decoder for heads of detectors. */
  decoder?: Loader;
  digits?: Loader;
  /** A `TextClassifier` or `SemanticRouter` that was fitted to an embedder. */
  classifierHead?(base: HeadBase, json: object): Promise<Loaded>;
  /** A `TextDetector` that was fitted to a decoder. */
  detectorHead?(decoder: Decoder, json: object, compute: Compute): Promise<Loaded>;
  /** The bytes of memory that a model would take. */
  plan?(request: Omit<LoadRequest, 'compute'>): Promise<number>;
}
