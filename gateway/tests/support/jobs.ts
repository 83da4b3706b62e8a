/** A queue for tests: delivers what a host has sent, as often and in the way that a test wants. */
import OpenAI from 'openai';
import type { Message } from '../../src/host.ts';
import { bury, consume } from '../../src/jobs/consume.ts';
import type { App } from './app.ts';
import type { TestHost } from './host.ts';
import { watchBody } from './logs.ts';

export interface DeliverOptions {
  /** The number of deliveries of each message; queues promise no more than "at least once". */
  times?: number;
  /** Deliveries of a message that fails, before it is buried. */
  tries?: number;
  /** Called before each delivery, which fails if this throws. */
  before?: (message: Message, attempt: number) => void | Promise<void>;
  /** Messages that run at the same time. */
  together?: number;
  /** Stops after so many messages. */
  most?: number;
}

/** Delivers messages until there are none, and tells how many there were. Delays are not waited for. */
export async function deliver(host: TestHost, options: DeliverOptions = {}): Promise<number> {
  const { times = 1, tries = 3, before = () => {}, together = 1, most = Number.POSITIVE_INFINITY } = options;
  let count = 0;
  const one = async (message: Message): Promise<void> => {
    for (let time = 0; time < times; time += 1) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          await before(message, attempt);
          await consume(host, message, attempt);
          break;
        } catch (error) {
          if (attempt < tries) continue;
          if (error instanceof Expected) {
            await bury(host, message);
            break;
          }
          throw error;
        }
      }
    }
  };
  while (host.sent.length > 0 && count < most) {
    const messages = host.sent.splice(0, together);
    count += messages.length;
    await Promise.all(messages.map(one));
  }
  return count;
}

/** A failure that a test causes; any other ends the test. */
export class Expected extends Error {}

/** OpenAI's client, unmodified, on an app of this process. */
export function openai(app: App, key: string): OpenAI {
  return new OpenAI({
    apiKey: key,
    baseURL: 'http://gateway.test/v1',
    maxRetries: 0,
    fetch: async (input, init) => app.fetch(new Request(input as string, init as RequestInit)),
  });
}

/** Lines of JSON. */
export function jsonl(lines: readonly unknown[]): string {
  watchBody(lines.slice(0, 100));
  return lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join('');
}

export function parseJsonl(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
