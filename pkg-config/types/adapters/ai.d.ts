import type { TextEmbedder } from '../index.js';

export interface EmbeddingModelOptions {
  /** The name of the model in the SDK's logs and telemetry; default `'text-embedder'`. */
  modelId?: string;
  /** The prompt that is put before each value, as in `TextEmbedOptions`; `providerOptions: { pilotlight: { prompt } }` of a call has precedence. */
  prompt?: string;
  /** The number of leading values to keep of each vector, which is then normalized again; the option `dimensions` of a call has precedence. */
  dimensions?: number;
}

/** The interface that the AI SDK requires of an embedding model: `EmbeddingModelV4` of `@ai-sdk/provider` 4. */
export interface EmbeddingModel {
  readonly specificationVersion: 'v4';
  readonly provider: 'pilotlight';
  readonly modelId: string;
  readonly maxEmbeddingsPerCall: number;
  readonly supportsParallelCalls: boolean;
  doEmbed(options: {
    values: string[];
    dimensions?: number;
    abortSignal?: AbortSignal;
    providerOptions?: Record<string, Record<string, unknown> | undefined>;
    headers?: Record<string, string | undefined>;
  }): Promise<{
    embeddings: number[][];
    usage: { tokens: number };
    warnings: { type: 'other'; message: string }[];
  }>;
}

/**
 * Makes an embedding model for `embed` and `embedMany` of the AI SDK. The caller disposes of the embedder. A value that was
 * cut at the model's longest text is a warning. An aborted call rejects with the reason of its signal, as the SDK expects.
 * @throws {PilotlightError} `INVALID_INPUT` where `embedder` has no `embed`
 */
export declare function embeddingModel(
  embedder: Pick<TextEmbedder, 'embed'>,
  options?: EmbeddingModelOptions,
): EmbeddingModel;
