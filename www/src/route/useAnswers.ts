import { type Classification, PilotlightError } from 'pilotlight';
import { useEffect, useRef, useState } from 'react';
import type { Learned } from './useLearner';

/** The answers to texts. */
export interface Answers {
  learned: Learned;
  byText: ReadonlyMap<string, Classification>;
}

interface Question {
  learned: Learned | null;
  texts: readonly string[];
  unknown: number;
}

/**
 * Classifies texts, and again whenever the classifier, the texts or `unknown` change. One call runs at a time and is followed by one with the
 * newest values, so that the answers follow a moving slider as fast as the model computes. The last answers stay until the next ones are there.
 */
export function useAnswers(
  learned: Learned | null,
  texts: readonly string[],
  unknown: number,
  onFail: (error: unknown) => void,
): Answers | null {
  const [answers, setAnswers] = useState<Answers | null>(null);
  const newest = useRef<Question>({ learned, texts, unknown });
  const busy = useRef(false);

  useEffect(() => {
    newest.current = { learned, texts, unknown };
    if (!busy.current) void work();

    async function work() {
      busy.current = true;
      for (let asked: Question | null = null; asked !== newest.current; ) {
        asked = newest.current;
        const { learned, texts, unknown } = asked;
        if (!learned || texts.length === 0) {
          setAnswers(null);
          continue;
        }
        try {
          const all = await learned.classifier.classify(texts, { unknown });
          setAnswers({ learned, byText: new Map(texts.map((text, i) => [text, all[i] as Classification])) });
        } catch (error) {
          // If another classifier has replaced this one, it classifies the texts as soon as the page shows it.
          const isGone = error instanceof PilotlightError && error.code === 'DISPOSED';
          if (!isGone && newest.current.learned === learned) onFail(error);
        }
      }
      busy.current = false;
    }
  }, [learned, texts, unknown, onFail]);

  return answers && answers.learned.classifier === learned?.classifier ? answers : null;
}
