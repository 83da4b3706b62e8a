import type { WriteStream } from 'node:tty';
import type { LoadProgress } from '../../types/index.js';

/** Progress for people: one line that changes on a terminal, else a line for every tenth. */
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
      // As wide as the terminal at most: a line that wraps could not be taken back.
      this.#to.write(`\r${line.slice(0, this.#to.columns - 1)}\x1b[K`);
      this.#shown = line;
      return;
    }
    const step = `${what} ${file} ${Math.floor(percent / 10)}`;
    if (step !== this.#shown) this.#to.write(`${line}\n`);
    this.#shown = step;
  }

  /** Takes the line back. */
  end(): void {
    if (this.#to.isTTY && this.#shown) this.#to.write('\r\x1b[K');
  }
}

export const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
