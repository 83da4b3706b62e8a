import type { ImageTextEmbedder, LabelScore } from 'pilotlight';
import { useEffect, useState } from 'react';
import { isFatal, reasonOf } from './take-in';

interface Labelled {
  scores: readonly LabelScore[];
  /** Why there are none, in a sentence; else empty. */
  problem: string;
}

const NONE: Labelled = { scores: [], problem: '' };
const PAUSE_MS = 250;

/** Labels a picture, a moment after the last change. The last answer stays until the next one is there, but for another picture. */
export function useLabels(
  embedder: ImageTextEmbedder | null,
  picture: Blob,
  list: string,
  template: string,
  onFail: (error: unknown) => void,
): Labelled {
  const [labelled, setLabelled] = useState<Labelled & { of: Blob }>({ ...NONE, of: picture });

  useEffect(() => {
    if (!embedder) return;
    const labels = [...new Set(list.split(/[,\n]/).map((label) => label.trim()))].filter(Boolean);
    const problem = problemOf(labels, template);
    if (problem) return setLabelled({ scores: [], problem, of: picture });
    const controller = new AbortController();
    const { signal } = controller;
    const timer = setTimeout(async () => {
      try {
        const scores = await embedder.classify(picture, labels, { template, signal });
        if (!signal.aborted) setLabelled({ scores, problem: '', of: picture });
      } catch (error) {
        if (signal.aborted) return;
        if (isFatal(error)) onFail(error);
        else setLabelled({ scores: [], problem: reasonOf(error), of: picture });
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [embedder, picture, list, template, onFail]);

  return labelled.of === picture ? labelled : NONE;
}

function problemOf(labels: readonly string[], template: string): string {
  if (labels.length < 2) return 'Give two labels or more.';
  return template.includes('{}') ? '' : 'The caption needs a place for the label: write {} there.';
}
