import {
  type CallOptions,
  type ClassifierEvaluation,
  type FitProgress,
  TextClassifier,
  type TextEmbedder,
} from 'pilotlight';
import { useCallback, useEffect, useRef, useState } from 'react';
import { isFatal } from '../engine/problem';
import type { Example } from './delimited';
import { examplesIn } from './file';
import { type RouteProblem, routeProblem } from './route-problem';
import type { Row } from './rows';

/** The kind of a task: learning from all examples, learning from one more, evaluating the classifier, or opening a file. */
export type WorkKind = 'learn' | 'teach' | 'check' | 'open';

/** Work that is under way. */
export interface Work {
  kind: WorkKind;
  progress: FitProgress | null;
  /** The time at which it began, by `performance.now()`. */
  since: number;
}

/** A classifier that has learned. */
export interface Learned {
  classifier: TextClassifier;
  /** The rows of the table that it knows. */
  rows: readonly Row[] | null;
  /** The number of its examples, names of labels left out; 0 where it came without them. */
  count: number;
}

/** The state of the page's classifier. */
export interface LearnerState {
  work: Work | null;
  learned: Learned | null;
  evaluation: ClassifierEvaluation | null;
  problem: RouteProblem | null;
  /** The kind of the work that the visitor stopped last. */
  stopped: WorkKind | null;
}

const NOTHING: LearnerState = { work: null, learned: null, evaluation: null, problem: null, stopped: null };

/** The most examples with which the check begins unasked, because it takes only seconds. */
const CHECKED_UNASKED = 2000;

type Task = (options: CallOptions & { signal: AbortSignal }) => Promise<Partial<LearnerState>>;

/** Learns from examples, one task at a time. A classifier is usable while it is checked, and while another one learns. */
export function useLearner(embedder: TextEmbedder | null, onFail: (error: unknown) => void) {
  const [state, setState] = useState(NOTHING);
  const running = useRef<AbortController | null>(null);
  const held = useRef<TextClassifier | null>(null);

  /** The classifier belongs to its model: with another one it has to learn again. */
  useEffect(() => {
    if (!embedder) return;
    return () => {
      running.current?.abort();
      // Reports of the aborted task are not about the next model.
      running.current = null;
      held.current?.dispose();
      held.current = null;
      setState(NOTHING);
    };
  }, [embedder]);

  /** Runs a task that may be stopped. Returns whether it came to its end. */
  async function run(kind: WorkKind, task: Task): Promise<boolean> {
    running.current?.abort();
    const controller = new AbortController();
    const { signal } = controller;
    running.current = controller;
    const work = { kind, progress: null, since: performance.now() };
    setState((last) => ({ ...last, work, problem: null, stopped: null }));
    const current = () => running.current === controller;
    const end = (news: Partial<LearnerState>) => {
      if (current()) setState((last) => ({ ...last, ...news, work: null }));
    };
    try {
      const news = await task({
        signal,
        onProgress: (progress) =>
          setState((last) => (last.work && current() ? { ...last, work: { ...last.work, progress } } : last)),
      });
      end(news);
      return !signal.aborted;
    } catch (error) {
      if (signal.aborted) end({ stopped: kind });
      else if (isFatal(error)) {
        end({});
        onFail(error);
      } else end({ problem: routeProblem(error, kind) });
      return false;
    }
  }

  /** Accepts a new classifier, unless its task was stopped. */
  function hold(classifier: TextClassifier, signal: AbortSignal): void {
    if (signal.aborted) {
      classifier.dispose();
      throw signal.reason;
    }
    held.current?.dispose();
    held.current = classifier;
  }

  const checkNow = (classifier: TextClassifier) =>
    run('check', async (options) => ({ evaluation: await classifier.evaluate({ folds: 5 }, options) }));

  async function checkSoon(): Promise<void> {
    const classifier = held.current;
    if (classifier && classifier.size > 0 && classifier.size <= CHECKED_UNASKED) await checkNow(classifier);
  }

  async function learn(rows: readonly Row[], examples: readonly Example[], unknown: number): Promise<void> {
    if (!embedder) return;
    const done = await run('learn', async (options) => {
      const classifier = await TextClassifier.fit(embedder, examples, { ...options, unknown });
      hold(classifier, options.signal);
      return { learned: { classifier, rows, count: examples.length }, evaluation: null };
    });
    if (done) await checkSoon();
  }

  /** Adds an example to the classifier; `rows` are those of the table with it, or null if the table had other rows before. */
  async function teach(example: Example, rows: readonly Row[] | null): Promise<void> {
    const { learned } = state;
    if (!learned) return;
    const done = await run('teach', async (options) => {
      await learned.classifier.add([example], options);
      return { learned: { ...learned, rows, count: learned.count + 1 }, evaluation: null };
    });
    if (done) await checkSoon();
  }

  /** Opens the text of a file. Returns its rows through `show`, and the share that it may refuse. */
  async function open(file: File, show: (examples: readonly Example[]) => readonly Row[]): Promise<number | undefined> {
    if (!embedder) return undefined;
    let unknown: number | undefined;
    const done = await run('open', async ({ signal }) => {
      const classifier = await TextClassifier.fromJSON(embedder, await file.text(), { signal });
      hold(classifier, signal);
      const saved = classifier.toJSON();
      const examples = examplesIn(saved);
      unknown = saved.unknown ?? 0;
      const rows = examples.length > 0 ? show(examples) : null;
      return { learned: { classifier, rows, count: examples.length }, evaluation: null };
    });
    if (done) void checkSoon();
    return unknown;
  }

  const stop = useCallback(() => running.current?.abort(), []);
  const check = () => void (state.learned && checkNow(state.learned.classifier));
  return { ...state, learn, teach, check, open, stop };
}
