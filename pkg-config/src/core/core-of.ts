import type { Device, Embedder, EmbedderIdentity } from '../../types/index.js';
import type { Place } from '../worker/beside.js';

/** The core that a model runs in. */
export interface RunsOn {
  /**
   * Returns the core and the device. Where the GPU has failed, the model is loaded again before: on `device` where that is the CPU. A model that was
   * disposed of is not: then it is another core.
   */
  place(device: Device | undefined): Promise<Place>;
  isDisposed(): boolean;
}

/** A symbol that is the same in every script of the package: `pilotlight/judge` is bundled by itself. */
const KEY = Symbol.for('pilotlight.runs-on');

/** Lets one model of the package find the core that another runs in. */
export const coreOf = {
  set(model: object, value: RunsOn): void {
    Object.defineProperty(model, KEY, { value });
  },
  get(model: unknown): RunsOn | undefined {
    return typeof model === 'object' && model !== null ? (model as { [KEY]?: RunsOn })[KEY] : undefined;
  },
};

/** A model: its name, the commit of its files, and the number of its layers where only the first ones were loaded. */
export type ModelIdentity = Pick<EmbedderIdentity, 'model' | 'commit' | 'layers'>;

/** The models of embedders. */
const models = new WeakMap<object, ModelIdentity>();

/** Records the model of an embedder. */
export const setModel = (embedder: object, model: ModelIdentity): void => void models.set(embedder, model);

/** Returns the model, the backend and the dimensions of an embedder, as far as it exposes them. */
export function identityOf(embedder: Embedder): EmbedderIdentity {
  const { dtype, simd } = embedder.backend ?? {};
  return {
    ...models.get(embedder),
    ...(dtype !== undefined && { dtype }),
    ...(simd !== undefined && { simd }),
    dimensions: embedder.dimensions,
  };
}

/** Returns the model and the backend of a decoder, as far as it exposes them. */
export function decoderIdentity(decoder: { backend?: Embedder['backend'] }): EmbedderIdentity {
  const { dimensions: _, ...identity } = identityOf(decoder as Embedder);
  return identity;
}
