/** A gateway for tests of batches, whose models can fail: requests as lines, orders by OpenAI's client, and the lines of their answers. */
import { createGateway } from '../../src/app.ts';
import type { Model } from '../../src/models/model.ts';
import { keyFor } from './app.ts';
import { StubModels, testHost } from './host.ts';
import { openai, parseJsonl } from './jobs.ts';

export const ENDPOINT = '/v1/embeddings';

export const line = (id: string, input: unknown = `text ${id}`) => ({
  custom_id: id,
  method: 'POST',
  url: ENDPOINT,
  body: { model: 'stub', input },
});
export const many = (count: number) => Array.from({ length: count }, (_, at) => line(`r${at}`));

/** Models that fail at texts whose first word is one of `faults`. */
export class FaultyModels extends StubModels {
  faults: Record<string, () => Error> = {};

  override async get(name: string, task: string): Promise<Model> {
    const model = await super.get(name, task);
    return {
      ...model,
      embed: async (texts) => {
        const fault = this.faults[(texts[0] as string).split(' ')[0] as string];
        if (fault) throw fault();
        return (model.embed as (texts: string[]) => ReturnType<NonNullable<Model['embed']>>)(texts);
      },
    };
  }
}

/** Opens a host with a client, which starts batches of a file's content and reads the answers of those that have ended. */
export async function opened(models = new FaultyModels()) {
  const host = await testHost({ models });
  const app = createGateway(host);
  const key = await keyFor(host);
  const client = openai(app, key);
  const start = async (content: string) => {
    const file = await client.files.create({ file: new File([content], 'in.jsonl'), purpose: 'batch' });
    const order = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h' } as const;
    return client.batches.create(order);
  };
  const read = async (id: string | null | undefined) =>
    id ? parseJsonl(await (await client.files.content(id)).text()) : [];
  const ended = async (id: string) => {
    const batch = await client.batches.retrieve(id);
    return { batch, out: await read(batch.output_file_id), err: await read(batch.error_file_id) };
  };
  return { host, app, key, client, models, start, ended };
}

export const ids = (lines: Record<string, unknown>[]) => lines.map(({ custom_id }) => custom_id);

/** The code of the reason for which a line was not answered. */
export function reasonOf(one: Record<string, unknown> | undefined): string | undefined {
  return (one?.error as { code: string } | undefined)?.code;
}

/** The status, the code and the message of an error line. */
export function errorOf(one: Record<string, unknown> | undefined): { status: number; code: string; message: string } {
  const { status_code: status, body } = (one?.response ?? {}) as {
    status_code: number;
    body: { error: { code: string; message: string } };
  };
  return { status, ...body.error };
}
