/**
 * Metrics in Prometheus' text format. What is counted here is a plain list of numbers, so that isolates send theirs to the one object that
 * adds them up. The text is that of prom-client, which takes 70 KB of a Worker more.
 */
import type { Measure, RequestEvent } from '../host.ts';

/** Series of one metric: its labels as they are written, and a number, or the buckets, the sum and the count of a histogram. */
export type Samples = [metric: string, series: [labels: string, values: number[]][]][];

type Labels = Record<string, string>;

interface Metric {
  type: 'counter' | 'gauge' | 'histogram';
  help: string;
}

const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The series of one metric at most. Further ones are counted together, so that no client can fill the memory. */
const SERIES = 1000;

const METRICS: Record<string, Metric> = {
  pilotlight_requests_total: { type: 'counter', help: 'Answered requests.' },
  pilotlight_request_seconds: { type: 'histogram', help: 'Seconds from a request to its answer.' },
  pilotlight_tokens_total: { type: 'counter', help: 'Tokens that models read.' },
  pilotlight_items_total: { type: 'counter', help: 'Texts, images and digits of answered requests.' },
  pilotlight_rate_limited_total: { type: 'counter', help: 'Requests refused for a limit.' },
  pilotlight_auth_failures_total: { type: 'counter', help: 'Requests without a valid key.' },
  pilotlight_model_load_seconds: { type: 'histogram', help: 'Seconds that the load of a model took.' },
  pilotlight_upstream_seconds: { type: 'histogram', help: 'Seconds until an upstream answered.' },
  pilotlight_upstream_state: {
    type: 'gauge',
    help: 'State of the breaker of an upstream: 0 closed, 1 half-open, 2 open.',
  },
  pilotlight_queue_tokens: { type: 'gauge', help: 'Tokens that wait to be computed.' },
  pilotlight_batch_parts_total: { type: 'counter', help: 'Parts of batches by what became of them.' },
};

/** The metric that a measure is kept in. */
const MEASURES: Record<Measure, string> = {
  model_load_seconds: 'pilotlight_model_load_seconds',
  upstream_seconds: 'pilotlight_upstream_seconds',
  upstream_state: 'pilotlight_upstream_state',
  queue_tokens: 'pilotlight_queue_tokens',
  batch_parts: 'pilotlight_batch_parts_total',
};

export class Metrics {
  #metrics = new Map<string, Map<string, number[]>>();

  record(event: RequestEvent): void {
    const { route, model = '', cache = '', run = '' } = event;
    this.#observe('pilotlight_requests_total', 1, { route, model, status: String(event.status), cache, run });
    this.#observe('pilotlight_request_seconds', event.ms / 1000, { route });
    if (event.tokens > 0) this.#observe('pilotlight_tokens_total', event.tokens, { model });
    if (event.items > 0) this.#observe('pilotlight_items_total', event.items, { model });
    if (event.limited) this.#observe('pilotlight_rate_limited_total', 1, { policy: event.limited });
    if (event.status === 401) this.#observe('pilotlight_auth_failures_total', 1, {});
  }

  /** Observes a value: counters add it, gauges take it, histograms count it. */
  observe(measure: Measure, value: number, labels: Labels = {}): void {
    this.#observe(MEASURES[measure], value, labels);
  }

  /** Adds what was counted elsewhere. */
  add(samples: Samples): void {
    for (const [name, series] of samples) {
      if (METRICS[name]) for (const [labels, values] of series) this.#add(name, labels, values);
    }
  }

  /** All that was counted since the last call. */
  take(): Samples {
    const samples = this.samples();
    this.#metrics = new Map();
    return samples;
  }

  samples(): Samples {
    return [...this.#metrics].map(([name, series]) => [name, [...series]]);
  }

  render(): string {
    return Object.entries(METRICS)
      .map(([name, { type, help }]) => {
        const series = [...(this.#metrics.get(name) ?? [])];
        const lines = series.flatMap(([labels, values]) =>
          type === 'histogram' ? histogram(name, labels, values) : `${name}${braces(labels)} ${values[0]}`,
        );
        return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines].join('\n');
      })
      .join('\n\n')
      .concat('\n');
  }

  #observe(name: string, value: number, labels: Labels): void {
    if (!Number.isFinite(value)) return;
    const histogram = METRICS[name]?.type === 'histogram';
    // A bucket counts what is in the smaller ones too.
    const values = histogram ? [...BUCKETS.map((bound) => (value <= bound ? 1 : 0)), value, 1] : [value];
    this.#add(name, text(labels), values);
  }

  #add(name: string, labels: string, values: readonly number[]): void {
    let series = this.#metrics.get(name);
    if (!series) {
      series = new Map();
      this.#metrics.set(name, series);
    }
    const key = series.has(labels) || series.size < SERIES ? labels : 'overflow="true"';
    const before = series.get(key);
    const add = before && METRICS[name]?.type !== 'gauge';
    series.set(key, add ? before.map((each, index) => each + (values[index] ?? 0)) : [...values]);
  }
}

function histogram(name: string, labels: string, values: readonly number[]): string[] {
  const count = values[BUCKETS.length + 1];
  const bucket = (bound: string | number, value: number | undefined) =>
    `${name}_bucket{le="${bound}"${labels && `,${labels}`}} ${value}`;
  return [
    ...BUCKETS.map((bound, index) => bucket(bound, values[index])),
    bucket('+Inf', count),
    `${name}_sum${braces(labels)} ${values[BUCKETS.length]}`,
    `${name}_count${braces(labels)} ${count}`,
  ];
}

function braces(labels: string): string {
  return labels && `{${labels}}`;
}

function text(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${value.replace(/\\/g, '\\\\').replace(/\n/g, '\\n').replace(/"/g, '\\"')}"`)
    .join(',');
}
