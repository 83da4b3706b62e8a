/**
 * The hook of retraining: it names the objects under `training/` to a service that fits a head, such as a job of Modal or of GitHub, and that
 * then uploads the head by `PUT /admin/heads/{name}`. The service reads the objects from the bucket with its own credentials.
 */
import { pagesOf } from '../blobs.ts';
import type { BlobPage, Host } from '../host.ts';

export const TRAINING = 'training/';
const TIMEOUT_MS = 30_000;

/**
 * Calls the hook with the names and sizes of all objects, unless there are none.
 * @throws {Error} where it does not answer with a status of 200 to 299
 */
export async function retrain(host: Host): Promise<void> {
  const { RETRAIN_URL: url } = host.settings;
  if (url === undefined) return;
  const objects: BlobPage['objects'] = [];
  for await (const page of pagesOf(host.blobs, TRAINING)) objects.push(...page);
  if (objects.length === 0) return;
  const token = await host.secret('RETRAIN_TOKEN');
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify({ objects }),
    // The token is for this address alone.
    redirect: 'manual',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`the hook of retraining answered ${response.status}`);
}
