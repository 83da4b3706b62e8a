/** Cloudflare Queues. */
import type { MessageBatch, Queue as Platform } from '@cloudflare/workers-types';
import type { Message, Queue } from '../host.ts';

/** The messages that the platform takes at once. */
const BATCH = 100;
/** Seconds before the second try; each further one waits twice as long, 300 at most. */
const RETRY_SECONDS = 5;

export class CloudflareQueue implements Queue {
  readonly #queue: Pick<Platform, 'sendBatch'>;

  constructor(queue: Pick<Platform, 'sendBatch'>) {
    this.#queue = queue;
  }

  async send(messages: readonly Message[]): Promise<void> {
    for (let at = 0; at < messages.length; at += BATCH) {
      const batch = messages.slice(at, at + BATCH).map(({ topic, body, delaySeconds }) => ({
        body: { topic, body },
        contentType: 'json' as const,
        ...(delaySeconds === undefined ? {} : { delaySeconds }),
      }));
      await this.#queue.sendBatch(batch);
    }
  }
}

/** Handles the messages that the platform delivers, each on its own: one that fails comes again, and the others do not. */
export async function deliver(
  batch: Pick<MessageBatch<unknown>, 'messages'>,
  handle: (message: Message, attempt: number) => Promise<void>,
  {
    report,
    retrySeconds = RETRY_SECONDS,
  }: { report?: (error: unknown, message: Message) => void; retrySeconds?: number } = {},
): Promise<void> {
  for (const delivered of batch.messages) {
    const message = delivered.body as Message;
    try {
      await handle(message, delivered.attempts);
      delivered.ack();
    } catch (error) {
      report?.(error, message);
      delivered.retry({ delaySeconds: Math.min(300, retrySeconds * 2 ** (delivered.attempts - 1)) });
    }
  }
}
