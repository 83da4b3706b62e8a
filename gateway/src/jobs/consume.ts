/** Handles the messages of the queue, on every host. */
import type { Host, Message } from '../host.ts';
import { finish } from './finish.ts';
import { type BuildMessage, buildIndex, buryBuild } from './index.ts';
import { answerPart, buryPart, type PartMessage } from './part.ts';
import { retrain } from './retrain.ts';
import { burySplit, split } from './split.ts';

/**
 * Handles a message. It may come twice, late, or after a delivery that ended in the middle: what has been done is not done again.
 * @param attempt 1 for the first delivery
 * @param signal aborts where the host stops: the work that is done is kept, and the rest is sent again
 * @throws {Error} where it cannot be handled now; the message is to be delivered again later
 */
export async function consume(
  host: Host,
  { topic, body }: Message,
  attempt = 1,
  signal = new AbortController().signal,
): Promise<void> {
  if (topic === 'batch.split') await split(host, String(body.batch), attempt);
  else if (topic === 'batch.part') await answerPart(host, body as unknown as PartMessage, signal);
  else if (topic === 'batch.finish') await finish(host, String(body.batch));
  else if (topic === 'index.build') await buildIndex(host, body as unknown as BuildMessage, signal);
  else if (topic === 'retrain') await retrain(host);
}

/** Handles a message that failed at all of its tries: whoever waits for its answers is told so. */
export async function bury(host: Host, { topic, body }: Message): Promise<void> {
  if (topic === 'batch.split') await burySplit(host, String(body.batch));
  else if (topic === 'batch.part') await buryPart(host, body as unknown as PartMessage);
  else if (topic === 'index.build') await buryBuild(host, body as unknown as BuildMessage);
  // A batch that could not be ended is ended by the cron job, and retraining is tried again at its next time.
}
