import type { DigitGenerator, Digits } from 'pilotlight';
import type { DigitJudge, Reading } from 'pilotlight/judge';
import { keepUsedFiles } from '../page/offline';

/** A value and the milliseconds that it took to compute. */
export interface Timed<T> {
  value: T;
  ms: number;
}

/** The objects that the panels of this page share: the generator, a queue for its drawings, and the judge. */
export interface Studio {
  generator: DigitGenerator;
  /** Starts a drawing when the ones before it have ended, so that its time is its own. */
  draw(work: () => Promise<Digits>, signal: AbortSignal): Promise<Timed<Digits>>;
  /** Reads digits of 28 by 28 pixels; the first call fetches the judge. */
  read(pixels: Uint8Array, signal?: AbortSignal): Promise<Reading[]>;
  /** Frees the judge. */
  close(): void;
}

/** Makes the studio of a loaded generator. */
export function openStudio(generator: DigitGenerator): Studio {
  let last: Promise<unknown> = Promise.resolve();
  let judge: Promise<DigitJudge> | undefined;

  return {
    generator,

    draw(work, signal) {
      const drawing = last.then(async () => {
        signal.throwIfAborted();
        const started = performance.now();
        const value = await work();
        return { value, ms: performance.now() - started };
      });
      last = drawing.catch(() => {});
      return drawing;
    },

    async read(pixels, signal) {
      judge ??= loadJudge(generator).catch((error: unknown) => {
        // The next call tries again.
        judge = undefined;
        throw error;
      });
      return (await judge).read(pixels, signal ? { signal } : {});
    },

    close() {
      void judge?.then((loaded) => loaded.dispose()).catch(() => {});
      judge = undefined;
    },
  };
}

async function loadJudge(generator: DigitGenerator): Promise<DigitJudge> {
  const { DigitJudge } = await import('pilotlight/judge');
  const judge = await DigitJudge.load(generator);
  void keepUsedFiles(generator.backend);
  return judge;
}
