import type { TextEmbedder } from 'pilotlight';
import { useEffect, useRef, useState } from 'react';
import { engine } from '../engine/engine';

/** The embedding of a sentence. */
export interface Embedded {
  vector: Float32Array;
  tokens: number;
  truncated: boolean;
}

/** The numbers of texts and tokens that some calls of the model embedded, and their time in milliseconds. */
export interface CallReport {
  texts: number;
  tokens: number;
  ms: number;
}

/** The vectors of the sentences that are embedded so far. */
export interface SentenceVectors {
  vectors: ReadonlyMap<string, Embedded>;
  report: CallReport | null;
  working: boolean;
}

const EMPTY: SentenceVectors = { vectors: new Map(), report: null, working: false };
/** Sentences in a call: few, so that the rows and the map fill in while vectors come. */
const BATCH = 8;

/** Embeds the sentences of `texts` that have no vector yet; the others keep theirs. */
export function useSentences(embedder: TextEmbedder | null, texts: readonly string[]): SentenceVectors {
  const [state, setState] = useState(EMPTY);
  const known = useRef<{ embedder: TextEmbedder | null; vectors: Map<string, Embedded> }>({
    embedder: null,
    vectors: new Map(),
  });

  useEffect(() => {
    if (known.current.embedder !== embedder) {
      known.current = { embedder, vectors: new Map() };
      setState(EMPTY);
    }
    if (!embedder) return;
    const controller = new AbortController();
    void work(embedder, texts, known.current.vectors, controller.signal, setState);
    return () => controller.abort();
  }, [embedder, texts]);

  return state;
}

async function work(
  embedder: TextEmbedder,
  texts: readonly string[],
  vectors: Map<string, Embedded>,
  signal: AbortSignal,
  show: (state: SentenceVectors) => void,
): Promise<void> {
  const fresh = [...new Set(texts)].filter((text) => !vectors.has(text));
  const report: CallReport = { texts: 0, tokens: 0, ms: 0 };
  try {
    // The first sentence goes alone, so that the visitor sees at once that the model works.
    for (let at = 0; at < fresh.length; at += at === 0 ? 1 : BATCH) {
      const batch = fresh.slice(at, at === 0 ? 1 : at + BATCH);
      const started = performance.now();
      const result = await embedder.embed(batch, { signal });
      report.ms += performance.now() - started;
      performance.mark('pilotlight:first-embedding');
      const [, width] = result.dims;
      batch.forEach((text, row) => {
        const vector = Float32Array.from(result.data.subarray(row * width, (row + 1) * width));
        const tokens = result.tokens[row] ?? 0;
        vectors.set(text, { vector, tokens, truncated: result.truncated[row] ?? false });
        report.tokens += tokens;
      });
      report.texts += batch.length;
      show({ vectors: new Map(vectors), report: { ...report }, working: report.texts < fresh.length });
    }
  } catch (error) {
    if (!signal.aborted) engine.fail(error);
  }
}
