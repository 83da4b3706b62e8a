/** Health checks of the gateway and of its database and blobs, and its metrics. */
import * as v from 'valibot';
import type { Host } from '../host.ts';
import { authenticatorOf, credential } from '../http/auth.ts';
import { GatewayError } from '../http/errors.ts';
import { report } from '../http/log.ts';
import { type Call, operation } from '../operation.ts';
import { perHost } from '../per-host.ts';
import { inTime } from '../waiting.ts';

const READY_MS = 1_000;
/** The milliseconds for which an answer of the parts is kept: nobody needs a key to ask, and the parts cost something. */
const KEEP_MS = 2_000;

const status = v.object({ status: v.literal('ok') });

const alive = (path: string) =>
  operation({
    method: 'GET',
    path,
    scope: 'public',
    summary: 'Tells that the gateway answers, without asking anything of its parts.',
    answer: status,
    async handle() {
      return Response.json({ status: 'ok' });
    },
  });

export const health = alive('/health');
export const healthz = alive('/healthz');

export const readyz = operation({
  method: 'GET',
  path: '/readyz',
  scope: 'public',
  summary: 'Tells that the database and the blobs answer; with a key also the state of each model.',
  answer: v.object({
    status: v.literal('ok'),
    models: v.optional(v.array(v.object({ id: v.string(), loaded: v.boolean(), breaker: v.optional(v.string()) }))),
  }),
  async handle(call) {
    const { host } = call;
    const [silent, known] = await Promise.all([silentParts(host), isKnown(call)]);
    if (silent) {
      throw new GatewayError('not_ready', known ? `Not ready: no answer of ${silent} in time.` : 'Not ready.', {
        headers: { 'retry-after': '1' },
      });
    }
    return Response.json({ status: 'ok', ...(known ? { models: host.models.states() } : {}) });
  },
});

const checks = new WeakMap<Host, { until: number; silent: Promise<string> }>();

/** A question to a part that has no answer yet. */
interface Question {
  at: number;
  answer: Promise<void>;
}
/** Questions by their parts. A check waits for one that is open, or a slow part would have one more to answer at each check. */
const questions = perHost(() => new Map<string, Question>());
/** The milliseconds after which an open question is given up, as its request may have ended. */
const GIVE_UP_MS = 10_000;

/** The parts that do not answer, as words; empty where all do. */
function silentParts(host: Host): Promise<string> {
  const now = Date.now();
  const known = checks.get(host);
  if (known && now < known.until) return known.silent;
  const silent = Promise.all([
    answers(host, 'the database', async () => void (await host.sql.all('SELECT 1 AS one'))),
    answers(host, 'the blobs', async () => void (await host.blobs.get('readyz'))?.body.cancel()),
  ]).then(([database, blobs]) =>
    [database ? '' : 'the database', blobs ? '' : 'the blobs'].filter(Boolean).join(' and '),
  );
  checks.set(host, { until: now + KEEP_MS, silent });
  host.hold(silent);
  return silent;
}

/** Whether a part answers in time. */
async function answers(host: Host, part: string, ask: () => Promise<void>): Promise<boolean> {
  const open = questions(host);
  const now = Date.now();
  let question = open.get(part);
  if (!question || now >= question.at + GIVE_UP_MS) {
    const made = { at: now, answer: ask() };
    const end = () => {
      if (open.get(part) === made) open.delete(part);
    };
    made.answer.then(end, end);
    open.set(part, made);
    question = made;
  }
  try {
    await inTime(question.answer, READY_MS, late);
    return true;
  } catch (error) {
    report(host.settings, `${part} did not answer a check`, error);
    return false;
  }
}

const late = (): Error => new Error(`no answer in ${READY_MS} ms`);

/** Whether the caller has a valid key, which this route does without. Where the database is silent, nobody can be told from anybody. */
async function isKnown({ request, host, headers }: Call): Promise<boolean> {
  if (!request || credential(headers, request.url) === undefined) return false;
  const key = authenticatorOf(host).authenticate(request, READY_MS);
  return inTime(key, READY_MS, late).then(
    () => true,
    () => false,
  );
}

export const metrics = operation({
  method: 'GET',
  path: '/metrics',
  scope: 'metrics',
  summary: 'Gives the metrics of all isolates or processes in the text format of Prometheus.',
  answer: 'text/plain',
  async handle({ host }) {
    await host.events.flush();
    return new Response(await host.events.render(), {
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' },
    });
  },
});
