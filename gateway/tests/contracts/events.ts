/** The contract of `Events`, with the database that it writes to. The table is empty at the start. */
import assert from 'node:assert/strict';
import type { Events, RequestEvent, Sql } from '../../src/host.ts';
import { type Contract, many } from './contract.ts';

export interface RecordedTo {
  /** Events of two isolates or processes. */
  events: readonly [Events, Events];
  sql: Sql;
}

const HOUR = 3_600_000;
const NOON = 500_000 * HOUR;

export const event = (more: Partial<RequestEvent> = {}): RequestEvent => ({
  id: 'r',
  at: NOON + 5,
  route: '/v1/embeddings',
  method: 'POST',
  status: 200,
  ms: 12.4,
  key: 'k1',
  model: 'm',
  run: 'local',
  items: 2,
  tokens: 30,
  cache: 'MISS',
  ...more,
});

const rows = (sql: Sql) => sql.all('SELECT * FROM usage ORDER BY hour, key_id, route, model, status');
/** The value of a series, whose labels are given as they are written. */
const value = (text: string, series: string) =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.split(' ')
      .at(-1),
  );

export const eventsContract: Contract<RecordedTo> = {
  'usage is added up by hour, key, route, model and status': async (make) => {
    const { events, sql } = await make();
    const [one, two] = events;
    one.record(event());
    one.record(event({ cache: 'HIT', tokens: 0, items: 1, ms: 0.7 }));
    two.record(event({ tokens: 2 ** 31, at: NOON + HOUR - 1 }));
    one.record(event({ at: NOON + HOUR }));
    one.record(event({ status: 429, items: 0, tokens: 0 }));
    one.record(event({ key: 'k2', route: '/v1/classify' }));
    const { key: _key, model: _model, ...anonymous } = event();
    one.record({ ...anonymous, status: 401 });
    await Promise.all(events.map((each) => each.flush()));
    const expected = [
      [NOON, 'k1', '/v1/embeddings', 'm', 200, 3, 5, 30 + 2 ** 31, 1, 26],
      [NOON, 'k1', '/v1/embeddings', 'm', 429, 1, 0, 0, 0, 12],
      [NOON, 'k2', '/v1/classify', 'm', 200, 1, 2, 30, 0, 12],
      [NOON + HOUR, 'k1', '/v1/embeddings', 'm', 200, 1, 2, 30, 0, 12],
    ];
    const columns = ['hour', 'key_id', 'route', 'model', 'status', 'requests', 'items', 'tokens', 'cached', 'ms'];
    const found = (await rows(sql)).map((row) => columns.map((name) => row[name]));
    // The milliseconds of two writers are rounded each.
    assert.ok([25, 26].includes(Number(found[0]?.[9])));
    assert.deepEqual(
      found.map((row) => row.slice(0, 9)),
      expected.map((row) => row.slice(0, 9)),
    );
    await one.flush();
    assert.equal(
      (await rows(sql)).reduce((sum, row) => sum + Number(row.requests), 0),
      6,
      'a flush adds nothing twice',
    );
  },

  'the sums of usage are the requests, whatever is flushed at the same time': async (make) => {
    const { events, sql } = await make();
    await many(200, 10, async (index) => {
      const to = events[index % 2] as Events;
      to.record(event({ key: `k${index % 23}`, items: 1, tokens: index }));
      if (index % 9 === 0) await to.flush();
    });
    await Promise.all(events.map((each) => each.flush()));
    const [sums] = await sql.all(
      'SELECT SUM(requests) AS requests, SUM(items) AS items, SUM(tokens) AS tokens FROM usage',
    );
    assert.deepEqual(sums, { requests: 200, items: 200, tokens: (199 * 200) / 2 });
    assert.equal((await rows(sql)).length, 23);
  },

  'metrics count requests, tokens and items': async (make) => {
    const {
      events: [events],
    } = await make();
    const before = await events.render();
    for (let times = 0; times < 3; times++) events.record(event());
    events.record(event({ status: 401, ms: 40, items: 0, tokens: 0 }));
    events.record(event({ status: 429, limited: 'rpm', items: 0, tokens: 0 }));
    events.observe('queue_tokens', 70);
    events.observe('queue_tokens', 20);
    events.observe('batch_parts', 2, { state: 'done' });
    events.observe('model_load_seconds', 0.3, { model: 'm' });
    const after = await events.render();
    const added = (series: string) => value(after, series) - (value(before, series) || 0);
    const labels = 'route="/v1/embeddings",model="m"';
    assert.equal(added(`pilotlight_requests_total{${labels},status="200",cache="MISS",run="local"}`), 3);
    assert.equal(added(`pilotlight_requests_total{${labels},status="429",cache="MISS",run="local"}`), 1);
    assert.equal(added('pilotlight_tokens_total{model="m"}'), 90);
    assert.equal(added('pilotlight_items_total{model="m"}'), 6);
    assert.equal(added('pilotlight_auth_failures_total'), 1);
    assert.equal(added('pilotlight_rate_limited_total{policy="rpm"}'), 1);
    assert.equal(added('pilotlight_request_seconds_bucket{le="0.01",route="/v1/embeddings"}'), 0);
    assert.equal(added('pilotlight_request_seconds_bucket{le="0.025",route="/v1/embeddings"}'), 4);
    assert.equal(added('pilotlight_request_seconds_bucket{le="+Inf",route="/v1/embeddings"}'), 5);
    assert.equal(added('pilotlight_request_seconds_count{route="/v1/embeddings"}'), 5);
    assert.equal(added('pilotlight_batch_parts_total{state="done"}'), 2);
    assert.equal(added('pilotlight_model_load_seconds_count{model="m"}'), 1);
    assert.equal(value(after, 'pilotlight_queue_tokens'), 20, 'a gauge is what was observed last');
    assert.deepEqual(await events.render(), after, 'what was rendered stays');
  },
};
