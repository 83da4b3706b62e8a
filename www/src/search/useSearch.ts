import type { TextEmbedder } from 'pilotlight';
import { useEffect, useState } from 'react';
import { engine } from '../engine/engine';
import type { CallReport, Embedded } from '../sentences/useSentences';

/** An embedded query, and what embedding it took. */
export interface QueryVector extends Embedded {
  text: string;
  report: CallReport;
}

const PAUSE_MS = 120;

/** Embeds the query a moment after the last keystroke. The result of the last query stays until the next one has its own. */
export function useSearch(embedder: TextEmbedder | null, text: string): QueryVector | null {
  const [query, setQuery] = useState<QueryVector | null>(null);
  const wanted = text.trim();

  useEffect(() => {
    if (!embedder || !wanted) {
      setQuery(null);
      return;
    }
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const started = performance.now();
        const { data, tokens, truncated } = await embedder.embed(wanted, { signal: controller.signal });
        const ms = performance.now() - started;
        if (controller.signal.aborted) return;
        setQuery({
          text: wanted,
          vector: Float32Array.from(data),
          tokens: tokens[0] ?? 0,
          truncated: truncated[0] ?? false,
          report: { texts: 1, tokens: tokens[0] ?? 0, ms },
        });
      } catch (error) {
        if (!controller.signal.aborted) engine.fail(error);
      }
    }, PAUSE_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [embedder, wanted]);

  return query;
}
