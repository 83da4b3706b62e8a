import type { ImageTextEmbedder } from 'pilotlight';
import { useCallback, useEffect, useRef, useState } from 'react';
import { isFatal, reasonOf } from '../engine/problem';
import type { Library } from './library';
import { fileSource, isImage, type Source } from './sources';
import { takeIn } from './take-in';

/** A file that could not be read, and why. */
export interface Failure {
  name: string;
  reason: string;
}

/** The progress of images on their way into the library. */
export interface Intake {
  status: 'idle' | 'waiting' | 'working' | 'stopped' | 'done';
  total: number;
  done: number;
  /** The processed images that could not be read. */
  failures: readonly Failure[];
  /** The number of done ones that the library had before. */
  known: number;
  /** The number of files that are no images. */
  others: number;
  /** The milliseconds that the model took for the images that it embedded. */
  ms: number;
  /** The number of images that the model embedded. */
  seen: number;
  /** The time at which the work began, by `performance.now()`. */
  since: number;
}

const IDLE: Intake = { status: 'idle', total: 0, done: 0, failures: [], known: 0, others: 0, ms: 0, seen: 0, since: 0 };
/** The index is saved after this time, so that a tab that is closed loses little work. */
const SAVE_EVERY_MS = 5000;

/**
 * Takes images into the library one after the other, so that a search in between waits for one of them at most.
 * Images that come before a model is loaded wait for it.
 */
export function useIntake(
  library: Library | null,
  embedder: ImageTextEmbedder | null,
  onFail: (error: unknown) => void,
) {
  const [intake, setIntake] = useState(IDLE);
  const [wakes, setWakes] = useState(0);
  const queue = useRef<Source[]>([]);
  const begun = useRef<Library | null>(null);
  const running = useRef<AbortController | null>(null);

  const add = useCallback((offered: readonly Source[], others = 0) => {
    const begins = queue.current.length === 0;
    const waiting = new Set(queue.current.map(({ id }) => id));
    const sources = offered.filter(({ id }) => !waiting.has(id));
    queue.current.push(...sources);
    setIntake((last) => {
      const base = begins ? { ...IDLE, status: sources.length > 0 ? ('waiting' as const) : ('done' as const) } : last;
      return { ...base, total: base.total + sources.length, others: base.others + others };
    });
    if (!running.current) setWakes((n) => n + 1);
  }, []);

  const addFiles = useCallback(
    (files: readonly File[]) => {
      const images = files.filter(isImage);
      add(images.map(fileSource), files.length - images.length);
    },
    [add],
  );

  const stop = useCallback(() => {
    queue.current = [];
    running.current?.abort();
    setIntake((last) =>
      last.status === 'working' || last.status === 'waiting' ? { ...last, status: 'stopped' } : last,
    );
  }, []);

  // biome-ignore lint/correctness/useExhaustiveDependencies: `wakes` tells that the queue, which is a ref, has something to do
  useEffect(() => {
    if (begun.current && begun.current !== library) {
      // The model has changed midway: the images that are done are in the library of the other one.
      queue.current = [];
      begun.current = null;
      setIntake(IDLE);
    }
    if (!library || !embedder || queue.current.length === 0) return;
    const controller = new AbortController();
    running.current = controller;
    begun.current = library;
    void work(library, embedder, controller.signal);
    return () => {
      controller.abort();
      if (running.current === controller) running.current = null;
      setIntake((last) => (last.status === 'working' ? { ...last, status: 'waiting' } : last));
    };

    async function work(library: Library, embedder: ImageTextEmbedder, signal: AbortSignal) {
      let saved = performance.now();
      setIntake((last) => ({ ...last, status: 'working', since: saved }));
      for (let source = queue.current[0]; source && !signal.aborted; source = queue.current[0]) {
        let failure: Failure | null = null;
        let ms = 0;
        const known = library.has(source.id);
        try {
          if (!known) ms = await takeIn(source, library, embedder, signal);
        } catch (error) {
          if (signal.aborted) break;
          if (isFatal(error)) return onFail(error);
          failure = { name: source.name, reason: reasonOf(error) };
        }
        // A stop may have emptied the queue, and other images may have been added since.
        if (queue.current[0] === source) queue.current.shift();
        setIntake((last) => ({
          ...last,
          done: last.done + 1,
          known: last.known + Number(known),
          failures: failure ? [...last.failures, failure] : last.failures,
          ms: last.ms + ms,
          seen: last.seen + Number(ms > 0),
        }));
        if (performance.now() - saved > SAVE_EVERY_MS) {
          await library.save();
          saved = performance.now();
        }
      }
      await library.save();
      if (running.current !== controller) return;
      running.current = null;
      begun.current = null;
      // Other images may have been added since a stop.
      if (queue.current.length > 0) setWakes((n) => n + 1);
      else if (!signal.aborted) setIntake((last) => ({ ...last, status: 'done' }));
    }
  }, [library, embedder, wakes, onFail]);

  // If a model is loaded, waiting images are about to be embedded.
  const soon = intake.status === 'waiting' && library !== null && embedder !== null;
  return { intake: soon ? { ...intake, status: 'working' as const } : intake, add, addFiles, stop };
}
