/** The command `check`, which finds before a deploy what would fail after it. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { LocalEntry, ModelsConfig } from '../models/config.ts';
import { openFiles } from '../models/local/files.ts';
import { plan } from '../models/local/plan.ts';
import { DIGITS_BYTES } from '../models/slots.ts';
import { resolveSource } from '../models/sources.ts';
import { FolderBlobs } from '../parts/folder.ts';

/** MiB of an isolate, and those of them that JavaScript, requests and answers take beside the models. */
const ISOLATE = 128;
const BESIDE = 16;

export interface CheckedModel {
  id: string;
  /** MiB; null for a model that runs elsewhere. */
  memory: number | null;
  problem?: string;
}

/**
 * Plans every model that runs here, without loading any. `from`: a folder or a host in place of the hub, as `MODEL_PATH` names them.
 * `limit`: MiB for all of them together.
 */
export async function checkModels(
  config: ModelsConfig,
  { from, limit = ISOLATE - BESIDE }: { from?: string | undefined; limit?: number } = {},
): Promise<CheckedModel[]> {
  const checked: CheckedModel[] = [];
  let together = 0;
  for (const [id, entry] of Object.entries(config.models)) {
    if (entry.run !== 'local') {
      checked.push({ id, memory: null });
      continue;
    }
    try {
      const memory = entry.memory_mb ?? Math.ceil((await planned(entry, from)) / (1 << 20));
      together += memory;
      const problem =
        memory > limit
          ? `needs ${memory} MiB of memory and there are ${limit}: let it run "upstream", or take a smaller dtype or fewer layers`
          : together > limit
            ? `needs ${memory} MiB of memory, with the models before it ${together}, and there are ${limit}: give it a Worker of its own`
            : undefined;
      checked.push({ id, memory, ...(problem === undefined ? {} : { problem }) });
    } catch (error) {
      checked.push({ id, memory: 0, problem: error instanceof Error ? error.message : String(error) });
    }
  }
  return checked;
}

async function planned(entry: LocalEntry, from: string | undefined): Promise<number> {
  if (entry.source === undefined) return DIGITS_BYTES;
  const { repository, revision, dtype = 'q8', weights } = entry;
  // A folder may be that of the model itself.
  const isModel = from !== undefined && existsSync(join(from, 'config.json'));
  const found = await resolveSource(
    { source: isModel ? `folder:${from}` : entry.source, repository: repository ?? entry.source, revision },
    { folder: (path) => ({ place: new FolderBlobs(resolve(path)), prefix: '' }) },
    from,
  );
  const options = { dtype, store: false as const, ...(revision === undefined ? {} : { revision }) };
  if (found.at) {
    const { files, close } = await openFiles(found.at.place, found.at.prefix, { dtype, weights, again: true });
    try {
      return await plan({ entry, repository: found.repository, options: { ...options, files } });
    } finally {
      await close();
    }
  }
  const host = found.host === undefined ? {} : { host: found.host };
  return plan({
    entry,
    repository: found.repository,
    options: { ...options, ...host, ...(weights === undefined ? {} : { weights }) },
  });
}
