import type { TextEmbedder } from 'pilotlight';
import { useSearch as useEmbedded } from 'pilotlight/react';
import { useEffect, useMemo } from 'react';
import { engine } from '../engine/engine';
import type { CallReport, Embedded } from '../sentences/useSentences';

/** An embedded query, with the report of the call that embedded it. */
export interface QueryVector extends Embedded {
  text: string;
  report: CallReport;
}

/** Embeds the query a moment after the last keystroke. The result of the last query stays until the next one has its own. */
export function useSearch(embedder: TextEmbedder | null, text: string): QueryVector | null {
  const embed = useMemo(
    () =>
      embedder &&
      (async (text: string, options: { signal?: AbortSignal }) => {
        const started = performance.now();
        const embeddings = await embedder.embed(text, options);
        return { ...embeddings, ms: performance.now() - started };
      }),
    [embedder],
  );
  // The list ranks all sentences itself, so there is no index.
  const { query, text: of, error } = useEmbedded(embed, null, text);

  useEffect(() => {
    if (error) engine.fail(error);
  }, [error]);

  return useMemo(() => {
    if (!query || of === undefined) return null;
    const tokens = query.tokens[0] ?? 0;
    const report = { texts: 1, tokens, ms: query.ms };
    return { text: of, vector: Float32Array.from(query.data), tokens, truncated: query.truncated[0] ?? false, report };
  }, [query, of]);
}
