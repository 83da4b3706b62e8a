// Compiled, never run: use of the package as its types allow, and uses that they must refuse.
import {
  type BackendReport,
  type Decoder,
  type Detection,
  DetectionHistory,
  type DetectionRecord,
  DigitGenerator,
  type Digits,
  diagnose,
  type Embeddings,
  type ErrorCode,
  type FetchReason,
  type HiddenStates,
  type ImageEmbeddings,
  type ImageSource,
  ImageTextEmbedder,
  init,
  type LabelScore,
  type LoadPlan,
  type LoadProgress,
  models,
  PilotlightError,
  type Progress,
  type ReportedImages,
  type SearchHit,
  type SequenceClassification,
  SequenceClassifier,
  type Store,
  type StoredModel,
  TextDetector,
  TextEmbedder,
  type Tower,
  type VectorId,
  VectorIndex,
} from 'pilotlight';
import images from 'pilotlight/images.wasm';
import * as inline from 'pilotlight/inline';
import { DigitClassifier, DigitJudge, type Reading } from 'pilotlight/judge';
import { fileStore } from 'pilotlight/node';
import relaxed from 'pilotlight/relaxed.wasm';
import simd from 'pilotlight/simd.wasm';
import webgpu from 'pilotlight/webgpu.wasm';

type Failure = Pick<PilotlightError, 'status' | 'reason' | 'file' | 'tensor'>;

declare const store: Store;
const folder: Store = fileStore('models');

export async function allowed(): Promise<ErrorCode | undefined> {
  const modules: [WebAssembly.Module, ...WebAssembly.Module[]] = [simd, relaxed, webgpu, images];
  await init();
  await init({ wasm: modules[0] });
  await init({ wasm: new Uint8Array(8) });
  await inline.init({ wasm: 'https://example.com/simd.wasm', images: 'https://example.com/images.wasm' });
  const { signal } = new AbortController();
  const onProgress = ({ status, loaded, total, cached }: LoadProgress): void =>
    void `${status} ${loaded / total} ${cached}`;
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
  const states: HiddenStates = await embedder.hiddenStates(texts, { layer: 0, pool: 'none', signal });
  const floats: Float32Array = states.data;
  const layers: number = embedder.layers;
  void [floats, layers, states.tokens.length === states.truncated.length];
  embedder.dispose();
  await TextEmbedder.load('m', { store: folder, layers: 4 });
  void (await models.plan('m', { layers: 4 })).fetchBytes;
  const part: StoredModel['part'] = (await models.list())[0]?.part;
  void [part === 'text', part === 'layers4'];
  try {
    await embedder.embed('one');
  } catch (error) {
    if (error instanceof PilotlightError) {
      const { status, reason, file, tensor }: Failure = error;
      const unreachable: FetchReason = 'unreachable';
      void [status?.toFixed(), reason === unreachable, file?.length, tensor?.length];
      // @ts-expect-error: no such reason
      void (reason === 'asleep');
      return error.code;
    }
  }
  return undefined;
}

export async function drawn(): Promise<Blob> {
  const generator = await DigitGenerator.load({ device: 'cpu', weights: new Response() });
  const digits: Digits = await generator.generate({
    text: '2026',
    count: 2,
    seed: 1,
    steps: 4,
    guidance: 2,
    onStep: ({ digits }) => void digits.toImageData(),
  });
  const morph = await generator.morph({ from: { digit: 1 }, to: { digit: 2, seed: 3 }, count: 5 });
  const judge: DigitJudge = await DigitClassifier.load(generator);
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

export async function searched(embedder: TextEmbedder): Promise<number> {
  const index = await VectorIndex.create({ dimensions: 384, precision: 'float32', prefilter: true, source: 'model' });
  const metric: 'cosine' | 'dot' = index.metric;
  await VectorIndex.create({ dimensions: 3, metric });
  // @ts-expect-error: no such metric
  await VectorIndex.create({ dimensions: 3, metric: 'euclidean' });
  const ids: readonly VectorId[] = ['a', 1];
  index.add(ids, await embedder.embed(['a', 'b']), { tags: ['both'] });
  index.update(ids, [[1, 2], new Float32Array(2)], { tags: [['one'], []] });
  const hits: SearchHit[] = index.search(await embedder.embed('c'), 10, {
    filter: (id) => id !== 1,
    exact: true,
    candidates: 100,
  });
  index.search([1, 2], 1, { filter: { tags: ['one'], match: 'any' } });
  const bytes: Uint8Array<ArrayBuffer> = index.toBytes();
  await index.save('notes', { store });
  const loaded: VectorIndex | undefined = await VectorIndex.load('notes');
  const removed: boolean = await VectorIndex.delete('notes', { store: 'memory' });
  // @ts-expect-error: no such precision
  await VectorIndex.create({ dimensions: 3, precision: 'int4' });
  // @ts-expect-error: dimensions are needed
  await VectorIndex.create({});
  // @ts-expect-error: ids are texts and numbers
  index.add([true], new Float32Array(384));
  // @ts-expect-error: a filter has tags or is a function
  index.search([1], 1, { filter: 'both' });
  // @ts-expect-error: read-only
  index.size = 5;
  // @ts-expect-error: the constructor is private
  new VectorIndex();
  void [
    (await VectorIndex.fromBytes(bytes)).size,
    index.has(1),
    index.ids(),
    loaded?.source,
    removed,
    index.memoryBytes,
  ];
  index.dispose();
  return index.remove(['a']) + (hits[0]?.score ?? 0);
}

export async function seen(
  image: HTMLImageElement,
  canvas: OffscreenCanvas,
  pixels: ImageData,
  file: File,
): Promise<LabelScore[]> {
  const { signal } = new AbortController();
  const towers: readonly Tower[] = ['text', 'image'];
  const clip = await ImageTextEmbedder.load('openai/clip-vit-base-patch32', { towers, dtype: 'q4', store, signal });
  const sources: readonly ImageSource[] = [
    image,
    canvas,
    pixels,
    file,
    new Uint8Array(),
    new ArrayBuffer(1),
    new URL('https://example.com/a.png'),
    '/b.jpg',
  ];
  const { data, dims }: ImageEmbeddings = await clip.embedImages(sources, {
    decoder: 'browser',
    precision: 'int8',
    dimensions: 64,
    signal,
    onProgress: ({ loaded, total }: Progress) => void (loaded / total),
  });
  const { indices, errors }: ReportedImages = await clip.embedImages(sources, { onError: 'report' });
  const codes: ErrorCode[] = errors.map(({ error }) => error.code);
  // @ts-expect-error: without the option a bad image is thrown
  void (await clip.embedImages(sources)).errors;
  const texts: Embeddings = await clip.embedTexts(['a'], { signal });
  const { dimensions, maxTokens }: { dimensions: number; maxTokens?: number } = clip;
  const plan: LoadPlan = await models.plan('m', { towers: ['image'], lossy: true });
  const { quotaBytes }: { quotaBytes?: number } = await models.usage();
  // Unknown values are absent, never null.
  const commit: string | undefined = plan.commit;
  const part: Tower | `layers${number}` | 'classifier' | undefined = (await models.list()).find(
    ({ whole }: StoredModel) => whole,
  )?.part;
  void [
    data.length,
    dims[1],
    indices[0],
    codes,
    texts.tokens,
    dimensions,
    maxTokens,
    plan.fits === plan.lossy,
    commit,
    quotaBytes,
    plan.files.map(({ bytes }) => bytes ?? 0),
    part,
    clip.towers.includes('text'),
    clip.backend.reason,
  ];
  const scores = await clip.classify(image, ['a cat', 'a dog'], {
    template: ['a photo of a {}.', '{}'],
    signal,
    decoder: 'pilotlight',
  });
  clip.dispose();
  // @ts-expect-error: CLIP has two towers
  await ImageTextEmbedder.load('m', { towers: ['audio'] });
  // @ts-expect-error: a sentence encoder has no towers
  await TextEmbedder.load('m', { towers: ['text'] });
  // @ts-expect-error: an image is no number
  await clip.embedImages([7]);
  // @ts-expect-error: images have no tokens
  void (await clip.embedImages(image)).tokens;
  // @ts-expect-error: labels are a list
  await clip.classify(image, 'cat');
  // @ts-expect-error: no such decoder
  await clip.embedImages(image, { decoder: 'gpu' });
  // @ts-expect-error: without the text tower there is no length
  const length: number = clip.maxTokens;
  // @ts-expect-error: the constructor is private
  new ImageTextEmbedder();
  void length;
  return scores.filter(({ label, score }) => label.length > score);
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
  // @ts-expect-error: no such pooling
  await embedder.hiddenStates('x', { pool: 'max' });
  // @ts-expect-error: hidden states are float32
  await embedder.hiddenStates('x', { precision: 'int8' });
  // @ts-expect-error: CLIP's parts are its towers
  await ImageTextEmbedder.load('m', { layers: 4 });
  // @ts-expect-error: the constructor is private
  new TextEmbedder();
  // @ts-expect-error: read-only
  embedder.dimensions = 5;
  // @ts-expect-error: no such code
  const code: ErrorCode = 'OOPS';
  void code;
}

export async function labelled(embedder: TextEmbedder, signal: AbortSignal): Promise<string> {
  const classifier = await SequenceClassifier.load('m', { dtype: 'q8', signal });
  const [first]: SequenceClassification[] = await classifier.classify(['a'], { signal });
  // @ts-expect-error: a classifier is loaded whole
  await SequenceClassifier.load('m', { layers: 2 });
  // @ts-expect-error: the labels are the model's
  classifier.labels.push('b');
  await TextDetector.load('m', { machineLabel: 'Fake' });
  const prompted: Embeddings = await embedder.embed('a', { prompt: 'query' });
  // @ts-expect-error: hidden states have no prompt
  await embedder.hiddenStates('a', { prompt: 'query' });
  void prompted;
  return first?.scores[0]?.label ?? classifier.labels[0] ?? '';
}

export async function detected(decoder: Decoder, store: Store): Promise<Detection[]> {
  const detector = await TextDetector.load(undefined, { onPlan: async ({ fetchBytes }) => fetchBytes < 2e8 });
  const one: Detection = await detector.detect('x');
  const { verdict, probability } = one;
  const word: 'machine' | 'no sign' | 'uncertain' = verdict;
  // @ts-expect-error: no text is called human
  const human: typeof verdict = 'human';
  // @ts-expect-error: with 'uncertain' there is no probability
  probability.toFixed(2);
  const own = await TextDetector.fit(['a'], ['b'], { decoder, features: 'hidden', layer: 22, head: 'rbf-svm' });
  // @ts-expect-error: a detector on likelihoods or hidden states needs a decoder
  await TextDetector.fromJSON(own.toJSON());
  const { falseAlarms, interval } = await own.calibrate(['a'], { rate: 0.05 });
  const history = new DetectionHistory({ store });
  const record: DetectionRecord = await history.add('x', one, { keepText: true });
  // @ts-expect-error: the text may be absent
  record.text.length;
  // @ts-expect-error: the constructor is private
  new TextDetector();
  const rate: number = falseAlarms + interval[1];
  void [word, human, rate];
  return own.detect(['x', 'y']);
}
