import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { TextEmbedderHandle } from '#core/cpu.js';
import { cores } from '#runtime';
import type { TextLoadOptions } from '../../types/index.js';
import { ModelHandle } from '../calls/model-handle.js';
import { chooseBackend } from '../core/backend.js';
import { type Pairs, spearman } from './corpus.js';

/** Texts that are given to a model at a time. */
const AT_ONCE = 256;

/** A loaded sentence encoder that also returns the ids of tokens. */
export class OpenModel {
  readonly dimensions: number;
  /** The texts that may stand before a text: none, and each prompt of the model. */
  readonly prompts: string[];
  readonly #model: ModelHandle<TextEmbedderHandle>;
  readonly #signal: AbortSignal;

  private constructor(model: ModelHandle<TextEmbedderHandle>, signal: AbortSignal) {
    const { handle } = model;
    this.#model = model;
    this.#signal = signal;
    this.dimensions = handle.dimensions;
    this.prompts = [...new Set(['', ...Object.values(handle.prompts as Record<string, string>)])];
  }

  static async load(model: string, options: TextLoadOptions & { signal: AbortSignal }): Promise<OpenModel> {
    const own = await ModelHandle.load<TextEmbedderHandle>({
      name: 'TextEmbedder',
      model,
      options,
      isTemporary: true,
      async place(given) {
        const { instance, report } = await chooseBackend(cores, { ...given, device: 'cpu' });
        return { instance, report: { ...report, worker: false } };
      },
      load: ({ TextEmbedderHandle }, resolved) => TextEmbedderHandle.load(model, resolved),
    });
    return new OpenModel(own, options.signal);
  }

  /** Loads a model from the files of a folder. */
  static async fromFiles(
    folder: string,
    names: readonly string[],
    { dtype, layers, signal }: Pick<TextLoadOptions, 'dtype' | 'layers'> & { signal: AbortSignal },
  ): Promise<OpenModel> {
    const entries = names.map(async (name) => [name, new Uint8Array(await readFile(path.join(folder, name)))] as const);
    const files = Object.fromEntries(await Promise.all(entries));
    return OpenModel.load('pilotlight/cut', {
      files,
      store: false,
      signal,
      ...(dtype && { dtype }),
      ...(layers !== undefined && { layers }),
    });
  }

  /** The ids of each text's tokens, after truncation and with special tokens. */
  tokens(texts: readonly string[]): Promise<Uint32Array[]> {
    const signal = this.#signal;
    return this.#model.call({ signal }, (handle, caller) => handle.tokens(texts, { signal, caller }));
  }

  /** Spearman's correlation of the cosines of pairs with their scores. */
  async spearman({ first, second, scores }: Pairs): Promise<number> {
    const cosines: number[] = [];
    for (let at = 0; at < first.length; at += AT_ONCE) {
      const [a, b] = [await this.#vectors(first, at), await this.#vectors(second, at)];
      for (const [index, vector] of a.entries()) cosines.push(cosine(vector, b[index] ?? vector));
    }
    return spearman(cosines, scores);
  }

  async #vectors(texts: readonly string[], at: number): Promise<Float32Array[]> {
    const signal = this.#signal;
    const some = texts.slice(at, at + AT_ONCE);
    const { data } = await this.#model.call({ signal }, (handle, caller) => handle.embed(some, { signal, caller }));
    const d = this.dimensions;
    return some.map((_, index) => (data as Float32Array).subarray(index * d, (index + 1) * d));
  }

  dispose(): void {
    this.#model.dispose();
  }
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [product, squaresA, squaresB] = [0, 0, 0];
  a.forEach((x, index) => {
    const y = b[index] ?? 0;
    product += x * y;
    squaresA += x * x;
    squaresB += y * y;
  });
  return product / (Math.sqrt(squaresA * squaresB) || 1);
}
