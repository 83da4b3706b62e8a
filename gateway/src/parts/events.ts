/** Records events as usage rows in SQL, as metrics, and as points of Analytics Engine where there is one. */
import type { Events, Measure, RequestEvent, Sql } from '../host.ts';
import { Metrics, type Samples } from './metrics.ts';
import { Usage } from './usage.ts';

/** Adds up the metrics of all isolates: the Durable Object `Metrics`. */
export interface Collector {
  add(samples: Samples): Promise<void>;
  render(): Promise<string>;
}

/** The method of Analytics Engine that is used here. */
export interface Analytics {
  writeDataPoint(point: { indexes: string[]; blobs: string[]; doubles: number[] }): void;
}

export class RecordedEvents implements Events {
  readonly #sql: Sql;
  readonly #collector: Collector | undefined;
  readonly #analytics: Analytics | undefined;
  readonly #metrics = new Metrics();
  readonly #usage = new Usage();

  constructor(sql: Sql, options: { collector?: Collector; analytics?: Analytics } = {}) {
    this.#sql = sql;
    this.#collector = options.collector;
    this.#analytics = options.analytics;
  }

  record(event: RequestEvent): void {
    this.#metrics.record(event);
    this.#usage.record(event);
    const { key = '', owner = '', route, method, model = '', run = '', cache = '', error = '' } = event;
    this.#analytics?.writeDataPoint({
      indexes: [key],
      blobs: [route, method, model, run, cache, error, owner],
      doubles: [event.status, event.ms, event.items, event.tokens],
    });
  }

  observe(name: Measure, value: number, labels: Record<string, string> = {}): void {
    this.#metrics.observe(name, value, labels);
  }

  /**
   * Writes the events that were recorded, and keeps those that could not be written for the next time.
   * @throws the first error
   */
  async flush(): Promise<void> {
    const written = await Promise.allSettled([this.#usage.flush(this.#sql), this.#push()]);
    for (const each of written) if (each.status === 'rejected') throw each.reason;
  }

  async render(): Promise<string> {
    if (!this.#collector) return this.#metrics.render();
    await this.#push();
    return this.#collector.render();
  }

  async #push(): Promise<void> {
    if (!this.#collector) return;
    const samples = this.#metrics.take();
    if (samples.length === 0) return;
    try {
      await this.#collector.add(samples);
    } catch (error) {
      this.#metrics.add(samples);
      throw error;
    }
  }
}
