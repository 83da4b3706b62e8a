import type { WriteStream } from 'node:tty';
import type { LoadProgress } from '../../types/index.js';

/** Prints progress for people: on a terminal one line that is overwritten, else a line for every ten percent. */
export class ProgressLine {
  readonly #to: WriteStream;
  #shown = '';

  constructor(to: WriteStream) {
    this.#to = to;
  }

  show({ status, file = '', loaded, total, cached }: LoadProgress): void {
    const percent = total > 0 ? Math.floor((100 * loaded) / total) : 0;
    const what = {
      plan: 'asking the host',
      download: cached ? 'reading' : 'fetching',
      prepare: 'preparing',
      ready: 'writing',
    }[status];
    const amount = total > 0 ? `  ${megabytes(loaded)} of ${megabytes(total)} MB, ${percent} %` : '';
    const line = [what, file].filter(Boolean).join(' ') + amount;
    if (this.#to.isTTY) {
      // The line is cut to the terminal's width: one that wraps could not be overwritten.
      this.#to.write(`\r${line.slice(0, this.#to.columns - 1)}\x1b[K`);
      this.#shown = line;
      return;
    }
    const step = `${what} ${file} ${Math.floor(percent / 10)}`;
    if (step !== this.#shown) this.#to.write(`${line}\n`);
    this.#shown = step;
  }

  /** Clears the line. */
  end(): void {
    if (this.#to.isTTY && this.#shown) this.#to.write('\r\x1b[K');
  }
}

export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
