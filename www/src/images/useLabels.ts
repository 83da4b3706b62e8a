import type { ImageTextEmbedder, LabelScore } from 'pilotlight';
import { useEffect, useState } from 'react';
import { isFatal, reasonOf } from '../engine/problem';

interface Labelled {
  scores: readonly LabelScore[];
  /** The reason why there are no scores, as a sentence; else empty. */
  problem: string;
}

const NONE: Labelled = { scores: [], problem: '' };
const PAUSE_MS = 250;

/** Labels an image a moment after the last change. The last scores of the same image stay until the next ones are there. */
export function useLabels(
  embedder: ImageTextEmbedder | null,
  image: Blob,
  list: string,
  template: string,
  onFail: (error: unknown) => void,
): Labelled {
  const [labelled, setLabelled] = useState<Labelled & { of: Blob }>({ ...NONE, of: image });

  useEffect(() => {
    if (!embedder) return;
    const labels = [...new Set(list.split(/[,\n]/).map((label) => label.trim()))].filter(Boolean);
    const problem = problemOf(labels, template);
    if (problem) return setLabelled({ scores: [], problem, of: image });
    const controller = new AbortController();
    const { signal } = controller;
    const timer = setTimeout(async () => {
      try {
        const scores = await embedder.classify(image, labels, { template, signal });
        if (!signal.aborted) setLabelled({ scores, problem: '', of: image });
      } catch (error) {
        if (signal.aborted) return;
        if (isFatal(error)) onFail(error);
        else setLabelled({ scores: [], problem: reasonOf(error), of: image });
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [embedder, image, list, template, onFail]);

  return labelled.of === image ? labelled : NONE;
}

function problemOf(labels: readonly string[], template: string): string {
  if (labels.length < 2) return 'Give two labels or more.';
  return template.includes('{}') ? '' : 'The caption needs a place for the label: write {} there.';
}
