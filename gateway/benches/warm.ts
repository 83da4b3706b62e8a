/**
 * Measures the cost of the gateway over a bare `embed`, in milliseconds of workerd's processor time, and its throughput for many clients.
 *
 *   node benches/warm.ts [REQUESTS]
 *
 * Blocks of requests of each kind take turns, because the machine's speed drifts; compare within one run.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { deployed } from '../tests/support/bundle.ts';
import { MODEL, packedMiniLm } from '../tests/support/packed.ts';
import { type RunningWorker, startWorker, usageOf } from '../tests/support/worker.ts';
import { Client, each, keep, median, quantile, round, type Sent } from './measure.ts';

const ID = 'all-MiniLM-L6-v2';
const ROUNDS = 5;
/** Lines of a log are the platform's to write in production. */
const SILENT = { LOG_LEVEL: 'silent' };

/** A question of about 15 tokens, another one for each number. */
export function question(at: number): string {
  const things = ['card', 'transfer', 'refund', 'account', 'top-up', 'cheque', 'PIN', 'statement'];
  const verbs = ['arrive', 'fail', 'show up', 'cost money', 'take so long', 'get stuck'];
  return `Why did my ${things[at % things.length]} of ${at} pounds not ${verbs[at % verbs.length]} until today?`;
}

/** Milliseconds of processor time and of waiting for a request of each kind. */
export interface Cost {
  cpuMs: number;
  /** The least of the blocks, which other programs disturbed least. */
  least: number;
  p50: number;
}

type Kind = 'nothing' | 'limit' | '401' | '404' | 'hit' | 'bare' | 'base64' | 'float' | 'miss';

export interface Pair extends AsyncDisposable {
  gateway: RunningWorker;
  bare: RunningWorker;
  key: string;
}

/** The gateway, and the Worker that it is compared with, each in a workerd of its own. */
export async function startPair(): Promise<Pair> {
  // miniflare's limit of tries without a key is a Durable Object, which production does not ask: `limit` is the cost of the same request to a Worker
  // that asks for it and does nothing else. It must not answer 429.
  const ratelimits = { AUTH_RL: { namespace_id: '1001', simple: { limit: 1_000_000, period: 60 as const } } };
  const gateway = await startWorker({ bundle: await deployed(), model: true, vars: SILENT, worker: { ratelimits } });
  const bare = await startWorker({
    bundle: await deployed('benches/workers/bare.ts'),
    model: true,
    worker: { ratelimits },
  });
  return {
    gateway,
    bare,
    key: await gateway.key(),
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await bare[Symbol.asyncDispose]();
    },
  };
}

/** Asks so many requests of each kind, one after the other, and gives the medians of the blocks. */
export async function costs({ gateway, bare, key }: Pair, requests: number): Promise<Record<Kind, Cost>> {
  const json = { 'content-type': 'application/json' };
  const authorized = { ...json, authorization: `Bearer ${key}` };
  const embed = (at: number, headers: Record<string, string>, encoding = 'base64'): Sent => ({
    method: 'POST',
    path: '/v1/embeddings',
    headers: { ...authorized, ...headers },
    body: JSON.stringify({ model: ID, input: question(at), encoding_format: encoding }),
  });
  const refused = (at: number): Sent => ({
    ...embed(at, {}),
    headers: { ...json, authorization: `Bearer ${key.slice(0, -1)}_` },
  });
  const kinds: Record<Kind, { worker: RunningWorker; status: number; send(at: number): Sent }> = {
    nothing: { worker: bare, status: 200, send: () => ({ method: 'GET', path: '/nothing' }) },
    limit: { worker: bare, status: 200, send: (at) => ({ ...refused(at), path: '/limit' }) },
    '401': { worker: gateway, status: 401, send: refused },
    '404': { worker: gateway, status: 404, send: () => ({ method: 'GET', path: '/v1/nothing', headers: authorized }) },
    hit: { worker: gateway, status: 200, send: () => embed(1_000_000, {}) },
    bare: {
      worker: bare,
      status: 200,
      send: (at) => ({ method: 'POST', path: '/embed', headers: json, body: JSON.stringify({ input: question(at) }) }),
    },
    base64: { worker: gateway, status: 200, send: (at) => embed(at, { 'cache-control': 'no-store' }) },
    float: { worker: gateway, status: 200, send: (at) => embed(at, { 'cache-control': 'no-store' }, 'float') },
    miss: { worker: gateway, status: 200, send: (at) => embed(at, {}) },
  };
  const clients = { gateway: new Client(gateway.url), bare: new Client(bare.url) };
  const blocks = Math.ceil(requests / ROUNDS);
  const found = {} as Record<Kind, { cpu: number[]; p50: number[] }>;
  let at = 0;
  try {
    // The first block of each warms up, and is not counted.
    for (let block = -1; block < ROUNDS; block += 1) {
      for (const [kind, { worker, status, send }] of Object.entries(kinds)) {
        const client = worker === bare ? clients.bare : clients.gateway;
        const count = block === -1 ? Math.min(blocks, 60) : blocks;
        const before = usageOf(worker.pid).cpuMs;
        const times: number[] = [];
        for (let sent = 0; sent < count; sent += 1) {
          at += 1;
          const response = await client.send(send(at));
          if (response.status !== status) throw new Error(`${kind}: ${response.status} ${response.body}`);
          times.push(response.ms);
        }
        if (block === -1) continue;
        found[kind as Kind] ??= { cpu: [], p50: [] };
        found[kind as Kind].cpu.push((usageOf(worker.pid).cpuMs - before) / count);
        found[kind as Kind].p50.push(median(times));
      }
    }
  } finally {
    clients.gateway.close();
    clients.bare.close();
  }
  const cost = ({ cpu, p50 }: { cpu: number[]; p50: number[] }): Cost => ({
    cpuMs: round(median(cpu), 2),
    least: round(Math.min(...cpu), 2),
    p50: round(median(p50), 2),
  });
  return Object.fromEntries(Object.entries(found).map(([kind, each]) => [kind, cost(each)])) as Record<Kind, Cost>;
}

/** The same loop in workerd and in Node, in turns: milliseconds of processor time a text. */
export async function loops(
  { bare }: Pair,
  rounds: number,
): Promise<{ workerd: number; node: number; backends: string }> {
  const texts = Array.from({ length: 100 }, (_, at) => question(at));
  const folder = join(await packedMiniLm(), MODEL, 'resolve/main');
  const [workerd, node]: [number[], number[]] = [[], []];
  let backends = '';
  const inWorkerd = async (count: number) => {
    const before = usageOf(bare.pid).cpuMs;
    const url = new URL(`/loop?rounds=${count}`, bare.url);
    await (await fetch(url, { method: 'POST', body: JSON.stringify(texts) })).text();
    return (usageOf(bare.pid).cpuMs - before) / count / texts.length;
  };
  await inWorkerd(1);
  for (let turn = 0; turn < rounds; turn += 1) {
    workerd.push(await inWorkerd(3));
    const { times, backend } = await inNode({ folder, texts, rounds: 3 });
    node.push(median(times) / texts.length);
    backends = backend;
  }
  return { workerd: round(median(workerd), 2), node: round(median(node), 2), backends };
}

async function inNode(given: object): Promise<{ times: number[]; backend: string }> {
  // workerd checks the bounds of each access to memory, which this flag makes Node do too.
  const child = spawn(
    process.execPath,
    ['--disable-wasm-trap-handler', join(import.meta.dirname, 'workers/loop.mjs')],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  child.stdin.end(JSON.stringify(given));
  let said = '';
  for await (const piece of child.stdout) said += piece;
  const { times, backend } = JSON.parse(said) as { times: number[]; backend: { simd: string } };
  return { times, backend: `${backend.simd}, ${process.version}` };
}

export interface Load {
  clients: number;
  perSecond: number;
  /** Milliseconds of workerd's processor time a request. */
  cpuMs: number;
  p50: number;
  p95: number;
  most: number;
}

/** Asks short texts from so many clients at once. */
export async function load({ gateway, key }: Pair, clients: number, requests: number, from: number): Promise<Load> {
  const client = new Client(gateway.url, clients);
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}`, 'cache-control': 'no-store' };
  const before = usageOf(gateway.pid).cpuMs;
  const started = performance.now();
  const answers = await each(requests, clients, async (at) => {
    const body = JSON.stringify({ model: ID, input: question(from + at), encoding_format: 'base64' });
    const answer = await client.send({ method: 'POST', path: '/v1/embeddings', headers, body });
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
    return answer.ms;
  });
  client.close();
  const seconds = (performance.now() - started) / 1000;
  return {
    clients,
    perSecond: round(requests / seconds),
    cpuMs: round((usageOf(gateway.pid).cpuMs - before) / requests, 2),
    p50: round(median(answers)),
    p95: round(quantile(answers, 0.95)),
    most: round(Math.max(...answers)),
  };
}

/** The milliseconds of single texts that come while 256 are being embedded, and of the 256. */
export async function beside({ gateway, key }: Pair): Promise<{ single: number; batch: number }> {
  const client = new Client(gateway.url, 8);
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}`, 'cache-control': 'no-store' };
  const send = (input: string | string[]) => {
    const body = JSON.stringify({ model: ID, input, encoding_format: 'base64' });
    return client.send({ method: 'POST', path: '/v1/embeddings', headers, body });
  };
  const batch = send(Array.from({ length: 256 }, (_, at) => question(at)));
  let isOver = false;
  const singles: number[] = [];
  const over = batch.then((answer) => {
    isOver = true;
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
    return answer.ms;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
  while (!isOver && singles.length < 20) {
    const answer = await send(`single ${singles.length}`);
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
    if (!isOver) singles.push(answer.ms);
  }
  const ms = await over;
  client.close();
  return { single: round(Math.max(0, ...singles)), batch: round(ms) };
}

/** Milliseconds of the processor for each text of requests with so many. */
export async function perText({ gateway, key }: Pair, texts: number, requests: number): Promise<number> {
  const client = new Client(gateway.url);
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}`, 'cache-control': 'no-store' };
  const send = async (at: number) => {
    const input = Array.from({ length: texts }, (_, each) => question(5_000_000 + at * texts + each));
    const body = JSON.stringify({ model: ID, input, encoding_format: 'base64' });
    const { status } = await client.send({ method: 'POST', path: '/v1/embeddings', headers, body });
    if (status !== 200) throw new Error(String(status));
  };
  await send(-1);
  const before = usageOf(gateway.pid).cpuMs;
  for (let at = 0; at < requests; at += 1) await send(at);
  const cpuMs = usageOf(gateway.pid).cpuMs - before;
  client.close();
  return round(cpuMs / requests / texts, 2);
}

if (import.meta.main) {
  const requests = Number(process.argv[2] ?? 2000);
  await using pair = await startPair();
  const cost = await costs(pair, requests);
  console.table(cost);
  const loop = await loops(pair, 5);
  console.log('loop', loop);
  const single = await load(pair, 1, Math.min(requests, 500), 2_000_000);
  const many = await load(pair, 50, requests, 3_000_000);
  console.table([single, many]);
  const inBatches = { texts: 64, cpuMsPerText: await perText(pair, 64, Math.ceil(requests / 64)) };
  console.log('in batches', inBatches);
  const between = await beside(pair);
  console.log('beside a batch of 256', between);
  const over = {
    '401 over nothing': round(cost['401'].cpuMs - cost.nothing.cpuMs, 2),
    '401 over the simulated limit': round(cost['401'].cpuMs - cost.limit.cpuMs, 2),
    'hit over 404': round(cost.hit.cpuMs - cost['404'].cpuMs, 2),
    'base64 over bare': round(cost.base64.cpuMs - cost.bare.cpuMs, 2),
    'float over bare': round(cost.float.cpuMs - cost.bare.cpuMs, 2),
    'loop of workerd to that of Node': round(loop.workerd / loop.node, 2),
    '50 clients to 1, by the clock': round(many.perSecond / single.perSecond, 2),
    '50 clients to 1, by the processor': round(single.cpuMs / many.cpuMs, 2),
  };
  console.table(over);
  keep('warm.json', 'node benches/warm.ts', {
    requests,
    cost,
    over,
    loop,
    load: [single, many],
    inBatches,
    beside: between,
  });
}
