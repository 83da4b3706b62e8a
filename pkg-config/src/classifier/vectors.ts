import type { CallOptions, Embedder, FitOptions } from '../../types/index.js';
import { PilotlightError } from '../error.js';
import type { Examples } from './examples.js';

/** Texts that are embedded between two progress events. */
const BATCH = 64;

/** The examples per label below which a label's name is added as an example: with more, it changes nothing. */
const FEW = 10;

/** Examples with their vectors. Classes are indices of `labels`, which are in the order of their code units. */
export interface Given {
  labels: string[];
  /** The texts of the examples; empty strings if only vectors were given. */
  texts: string[];
  classes: Uint32Array;
  /** 1 for an example that is the name of its label. */
  labelTexts: Uint8Array;
  vectors: Float32Array;
}

/** The options with which texts are embedded. */
export interface Asking extends CallOptions {
  prompt?: string;
}

export const byCodeUnit = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

/** The options of one call of an embedder. */
const embedOptions = ({ prompt, signal }: Asking): { prompt?: string; signal?: AbortSignal } => ({
  ...(prompt !== undefined && { prompt }),
  ...(signal && { signal }),
});

/** Embeds texts. Refuses an embedder that does not give `dimensions` values for each. */
export async function embed(
  embedder: Embedder,
  texts: string | readonly string[],
  asking: Asking,
): Promise<Float32Array> {
  const { data, dims } = await embedder.embed(texts, embedOptions(asking));
  const [count, { dimensions }] = [[texts].flat().length, embedder];
  if (data?.length === count * dimensions) return data instanceof Float32Array ? data : Float32Array.from(data);
  const got = Array.isArray(dims) ? dims.join(' × ') : `${data?.length ?? 'no'} values`;
  throw new PilotlightError('INVALID_INPUT', `embedder: expected ${count} × ${dimensions} values, got ${got}`);
}

/** Refuses examples of a label that the classifier does not have. */
export function checkLabels(given: readonly string[], labels: readonly string[]): void {
  const known = new Set(labels);
  const other = given.find((label) => !known.has(label));
  if (other !== undefined)
    throw new PilotlightError('INVALID_INPUT', `examples: the classifier has no label '${other}'`);
}

/** The classes of examples, as indices of another list of labels that has all of theirs. */
export function classesOf(given: Pick<Given, 'labels' | 'classes'>, labels: readonly string[]): Uint32Array {
  const index = new Map(labels.map((label, i) => [label, i]));
  const places = given.labels.map((label) => index.get(label) ?? 0);
  return given.classes.map((one) => places[one] ?? 0);
}

/** Embeds examples, unless they came with vectors. */
export async function vectorsOf(embedder: Embedder, examples: Examples, asking: Asking): Promise<Given> {
  const labels = [...new Set(examples.labels)].sort(byCodeUnit);
  const index = new Map(labels.map((label, i) => [label, i]));
  const classes = Uint32Array.from(examples.labels, (label) => index.get(label) ?? 0);
  const { texts } = examples;
  const vectors = examples.vectors
    ? checked(examples.vectors, embedder.dimensions, classes.length)
    : await embedded(embedder, texts, asking);
  return { labels, texts, classes, labelTexts: new Uint8Array(classes.length), vectors };
}

function checked(vectors: Float32Array, dimensions: number, count: number): Float32Array {
  if (vectors.length === count * dimensions) return vectors;
  const expected = `${count} vectors of ${dimensions} values`;
  throw new PilotlightError('INVALID_INPUT', `examples.vectors: expected ${expected}, got ${vectors.length} values`);
}

/** Embeds texts in batches, with progress. */
export async function embedded(embedder: Embedder, texts: readonly string[], asking: Asking): Promise<Float32Array> {
  const { onProgress } = asking;
  const { dimensions } = embedder;
  let vectors: Float32Array;
  try {
    vectors = new Float32Array(texts.length * dimensions);
  } catch (error) {
    throw new PilotlightError('RESOURCE_LIMIT', `the vectors of ${texts.length} examples do not fit in memory`, error);
  }
  for (let first = 0; first < texts.length; first += BATCH) {
    vectors.set(await embed(embedder, texts.slice(first, first + BATCH), asking), first * dimensions);
    onProgress?.({ status: 'embed', loaded: Math.min(first + BATCH, texts.length), total: texts.length });
  }
  return vectors;
}

/** Adds the name of each label as one more example. */
export async function withLabelTexts(given: Given, embedder: Embedder, options: FitOptions): Promise<Given> {
  const { labels, texts, classes, vectors } = given;
  const { labelText = classes.length < FEW * labels.length } = options;
  if (labelText === false) return given;
  const nameOf = typeof labelText === 'function' ? labelText : (label: string) => label.replace(/[_-]+/g, ' ').trim();
  const names = labels.map((label) => String(nameOf(label)));
  const asked = names.map((name) => name || ' ');
  const nameVectors = await embed(embedder, asked, options);
  return {
    labels,
    texts: [...texts, ...names],
    classes: Uint32Array.from([...classes, ...labels.keys()]),
    labelTexts: Uint8Array.from([...texts.map(() => 0), ...names.map(() => 1)]),
    vectors: joined(vectors, nameVectors),
  };
}

/** The vectors of both lists. */
export function joined(a: Float32Array, b: Float32Array): Float32Array {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
