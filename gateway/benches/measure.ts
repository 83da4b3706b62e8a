/** Parts that the benches share: medians, a client that keeps its connections, and files of results. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';

export const median = (values: readonly number[]): number => quantile(values, 0.5);

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const round = (value: number, digits = 1): number => Number(value.toFixed(digits));

export interface Sent {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

export interface Received {
  status: number;
  ms: number;
  body: Buffer;
}

/** A client that keeps its connections. */
export class Client {
  readonly #agent: Agent;
  readonly #url: URL;

  constructor(url: URL | string, connections = 1) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
    this.#url = new URL(url);
  }

  send({ method, path, headers = {}, body }: Sent): Promise<Received> {
    const started = performance.now();
    return new Promise((resolve, reject) => {
      const sent = request(
        new URL(path, this.#url),
        {
          method,
          headers: { ...headers, ...(body ? { 'content-length': Buffer.byteLength(body) } : {}) },
          agent: this.#agent,
        },
        (response) => {
          const pieces: Buffer[] = [];
          response.on('data', (piece: Buffer) => pieces.push(piece));
          response.once('error', reject).once('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              ms: performance.now() - started,
              body: Buffer.concat(pieces),
            }),
          );
        },
      );
      sent.once('error', (error: NodeJS.ErrnoException) => {
        // A connection that the server had closed meanwhile says nothing about the request.
        if (sent.reusedSocket && error.code === 'ECONNRESET')
          this.send({ method, path, headers, ...(body ? { body } : {}) }).then(resolve, reject);
        else reject(error);
      });
      sent.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Runs jobs, so many of them at a time. */
export async function each<T>(count: number, atOnce: number, job: (at: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async () => {
    for (let at = next++; at < count; at = next++) results[at] = await job(at);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** Writes results beside what they were measured on. */
export function keep(name: string, command: string, results: object): void {
  const folder = join(import.meta.dirname, 'results');
  mkdirSync(folder, { recursive: true });
  const machine = {
    processor: cpus()[0]?.model ?? '',
    cores: cpus().length,
    node: process.version,
    // Above the number of cores others have worked too, and only ratios say something.
    load: loadavg().map((value) => round(value, 2)),
    date: new Date().toISOString().slice(0, 10),
  };
  writeFileSync(join(folder, name), `${JSON.stringify({ command, machine, ...results }, null, 2)}\n`);
}
