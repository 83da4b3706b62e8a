// Compiled, never run: use of the package as its types allow, and uses that they must refuse.
import {
  type BackendReport,
  DigitGenerator,
  type Digits,
  type Embeddings,
  type ErrorCode,
  type LoadProgress,
  PilotlightError,
  type Store,
  TextEmbedder,
  diagnose,
  init,
} from 'pilotlight';
import * as inline from 'pilotlight/inline';
import { DigitJudge, type Reading } from 'pilotlight/judge';
import { fileStore } from 'pilotlight/node';
import relaxed from 'pilotlight/relaxed.wasm';
import simd from 'pilotlight/simd.wasm';
import webgpu from 'pilotlight/webgpu.wasm';

declare const store: Store;
const folder: Store = fileStore('models');

export async function allowed(): Promise<ErrorCode | undefined> {
  const modules: WebAssembly.Module[] = [simd, relaxed, webgpu];
  await init();
  await init({ wasm: modules[0]! });
  await init({ wasm: new Uint8Array(8) });
  await inline.init({ wasm: 'https://example.com/simd.wasm' });
  const { signal } = new AbortController();
  const onProgress = ({ status, loaded, total, cached }: LoadProgress): void => void `${status} ${loaded / total} ${cached}`;
  const embedder = await TextEmbedder.load('sentence-transformers/all-MiniLM-L6-v2', {
    device: 'webgpu',
    dtype: 'f32',
    store,
    signal,
    onProgress,
    files: { 'config.json': new Blob([]), 'model.safetensors': new Response() },
  });
  const texts: readonly string[] = ['a', 'b'];
  const { data, dims }: Embeddings = await embedder.embed(texts, { dimensions: 64, precision: 'ubinary', signal });
  const [rows, width]: [number, number] = dims;
  const { device, reason }: BackendReport = embedder.backend;
  void [data.byteLength, rows * width, device === 'cpu', reason, await diagnose()];
  embedder.dispose();
  await TextEmbedder.load('m', { store: folder });
  try {
    await embedder.embed('one');
  } catch (error) {
    if (error instanceof PilotlightError) return error.code;
  }
  return undefined;
}

export async function drawn(): Promise<Blob> {
  const generator = await DigitGenerator.load({ device: 'cpu', weights: new Response() });
  const digits: Digits = await generator.generate({ text: '2026', count: 2, seed: 1, steps: 4, guidance: 2, onStep: ({ digits }) => void digits.toImageData() });
  const morph = await generator.morph({ from: { digit: 1 }, to: { digit: 2, seed: 3 }, count: 5 });
  const judge = await DigitJudge.load(generator);
  const readings: Reading[] = await judge.read(digits.data);
  const [count, rows, columns]: [number, number, number] = morph.dims;
  void [readings[0]?.probabilities.length, count * rows * columns];
  // @ts-expect-error: a digit is a number
  await generator.generate({ digit: '3' });
  // @ts-expect-error: a morph has two ends
  await generator.morph({ from: { digit: 1 } });
  // @ts-expect-error: the judge needs a generator
  await DigitJudge.load();
  return digits.toGrid(4).toBlob();
}

export async function refused(embedder: TextEmbedder): Promise<void> {
  // @ts-expect-error: no such device
  await TextEmbedder.load('m', { device: 'gpu' });
  // @ts-expect-error: no such dtype
  await TextEmbedder.load('m', { dtype: 'f8' });
  // @ts-expect-error: a store needs all four methods
  await TextEmbedder.load('m', { store: { get: store.get } });
  // @ts-expect-error: a folder has a path
  fileStore();
  // @ts-expect-error: texts are text
  await embedder.embed([1, 2]);
  // @ts-expect-error: no such precision
  await embedder.embed('x', { precision: 'float16' });
  // @ts-expect-error: the constructor is private
  new TextEmbedder();
  // @ts-expect-error: read-only
  embedder.dimensions = 5;
  // @ts-expect-error: no such code
  const code: ErrorCode = 'OOPS';
  void code;
}
