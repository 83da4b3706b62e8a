/** Embeds the texts of items that go into an index. */
import type { Host } from '../host.ts';
import { answerLine } from '../invoke.ts';
import { guessTokens } from '../models/local/compute.ts';
import type { ModelInfo } from '../models/model.ts';
import { floatsOf } from '../models/vectors.ts';
import type { Source } from '../tables/indexes.ts';
import { callerOf } from './caller.ts';
import { BadItem, type Item } from './index-items.ts';
import { STEP_TOKENS } from './limits.ts';
import { type Stop, stopFor } from './stop.ts';

/** Items that are embedded and added together. */
export const CHUNK_ITEMS = 64;

/** Puts vectors into the items that have texts, by the same way as a request of the owner would. */
export async function embedItems(
  host: Host,
  source: Source,
  items: readonly Item[],
  tries: number,
  signal: AbortSignal,
): Promise<{ tokens: number; stop?: Stop }> {
  const texts = items.filter(hasText);
  if (texts.length === 0) return { tokens: 0 };
  if (source.model === undefined) throw new BadItem('model: is missing; the file has texts');
  const key = await callerOf(host, source.keyId, source.caller);
  if (!key) throw new BadItem('the key that ordered the index is no longer valid');
  const info = (await host.models.list()).find(({ id }) => id === source.model);
  let tokens = 0;
  for (const group of groups(texts, info)) {
    const body = {
      model: source.model,
      input: group.map(({ text }) => text),
      encoding_format: 'base64',
      ...(source.dimensions === undefined ? {} : { dimensions: source.dimensions }),
    };
    const given = await answerLine(host, key, '/v1/embeddings', body, signal);
    const stop = stopFor(given, tries, signal);
    if (stop) return { tokens, stop };
    const { error, data, usage } = given.body as Embedded;
    if (given.status !== 200) throw new BadItem(`the texts could not be embedded: ${error?.message}`);
    for (const [at, item] of group.entries()) {
      const vector = floatsOf(String(data[at]?.embedding));
      if (!vector) throw new BadItem(`no vector for the text of ${JSON.stringify(item.id)}`);
      item.vector = vector;
    }
    tokens += usage.total_tokens;
  }
  return { tokens };
}

type TextItem = Item & { text: string };

const hasText = (item: Item): item is TextItem => item.text !== undefined;

/** Texts that fit one request of the model. */
function* groups(texts: readonly TextItem[], info: ModelInfo | undefined): Generator<TextItem[]> {
  const { maxItems = CHUNK_ITEMS, maxTokensRequest = STEP_TOKENS, maxTokens } = info ?? {};
  let group: TextItem[] = [];
  let tokens = 0;
  for (const item of texts) {
    const more = guessTokens(item.text, maxTokens);
    if (group.length > 0 && (group.length === maxItems || tokens + more > maxTokensRequest)) {
      yield group;
      group = [];
      tokens = 0;
    }
    group.push(item);
    tokens += more;
  }
  yield group;
}

interface Embedded {
  error?: { code: string; message: string };
  data: { embedding: string }[];
  usage: { total_tokens: number };
}
