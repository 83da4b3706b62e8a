/** The contract of `Meter`. */
import assert from 'node:assert/strict';
import type { Lease, Meter, Policy } from '../../src/host.ts';
import { type Contract, many, sleep } from './contract.ts';

const policy = (name: Policy['name'], limit: number, more: Partial<Policy> = {}): Policy => ({
  name,
  limit,
  seconds: 60,
  cost: 1,
  ...more,
});

/** A key that no other test has. */
const newKey = () => `key-${crypto.randomUUID()}`;

async function remaining(meter: Meter, key: string, of: Policy): Promise<number | undefined> {
  return (await meter.take(key, [{ ...of, cost: 0 }])).reports[0]?.remaining;
}

const newLease = (limit: number, seconds = 60): Lease => ({ id: crypto.randomUUID(), limit, seconds });

/** The number of places that are free, which takes them all. */
async function places(meter: Meter, key: string, limit: number): Promise<number> {
  const taken = await Promise.all(Array.from({ length: limit }, () => meter.lease(key, newLease(limit, 5))));
  return taken.filter(Boolean).length;
}

export const meterContract: Contract<Meter> = {
  'of 500 takes, 50 at once, exactly 100 have the limit of 100': async (make) => {
    const meter = await make();
    const key = newKey();
    const taken = await many(500, 50, () => meter.take(key, [policy('rpm', 100)]));
    assert.equal(taken.filter(({ allowed }) => allowed).length, 100);
    for (const { allowed, blocked, reports } of taken) {
      assert.equal(blocked, allowed ? undefined : 'rpm');
      assert.equal(reports.length, 1);
      if (!allowed) assert.equal(reports[0]?.remaining, 0);
    }
    const left = taken.filter(({ allowed }) => allowed).map(({ reports }) => reports[0]?.remaining ?? -1);
    assert.deepEqual(
      left.toSorted((a, b) => a - b),
      Array.from({ length: 100 }, (_, index) => index),
      'each that is allowed sees another number of units left',
    );
  },

  'takes of several policies are all or none, also at the same time': async (make) => {
    const meter = await make();
    const key = newKey();
    const rpm = policy('rpm', 45);
    const tpm = policy('tpm', 100, { cost: 7 });
    const taken = await many(60, 20, () => meter.take(key, [rpm, tpm]));
    assert.equal(taken.filter(({ allowed }) => allowed).length, 14, '14 times 7 is within 100');
    assert.ok(taken.every(({ allowed, blocked }) => allowed || blocked === 'tpm'));
    assert.equal(await remaining(meter, key, rpm), 31);
    assert.equal(await remaining(meter, key, tpm), 2);
    const small = await meter.take(key, [rpm, { ...tpm, cost: 2 }]);
    assert.equal(small.allowed, true, 'what is left can be had');
    assert.deepEqual(
      small.reports.map(({ name, limit, remaining: left, seconds }) => ({ name, limit, left, seconds })),
      [
        { name: 'rpm', limit: 45, left: 30, seconds: 60 },
        { name: 'tpm', limit: 100, left: 0, seconds: 60 },
      ],
    );
  },

  'a refusal names the first policy that has too little': async (make) => {
    const meter = await make();
    const key = newKey();
    const policies = [policy('rpm', 5), policy('tpm', 3, { cost: 4 }), policy('tpd', 2, { cost: 4 })];
    const refused = await meter.take(key, policies);
    assert.equal(refused.allowed, false);
    assert.equal(refused.blocked, 'tpm');
    assert.deepEqual(
      refused.reports.map(({ remaining: left, resetSeconds }) => [left, resetSeconds]),
      [
        [5, 0],
        [3, 0],
        [2, 0],
      ],
      'nothing was taken, and no window begun',
    );
  },

  'keys and policies count for themselves': async (make) => {
    const meter = await make();
    const [one, two] = [newKey(), newKey()];
    assert.equal((await meter.take(one, [policy('rpm', 1)])).allowed, true);
    assert.equal((await meter.take(one, [policy('rpm', 1)])).allowed, false);
    assert.equal((await meter.take(two, [policy('rpm', 1)])).allowed, true);
    assert.equal((await meter.take(one, [policy('failures', 1)])).allowed, true);
    assert.deepEqual(await meter.take(one, []), { allowed: true, reports: [] });
    const odd = `${newKey()}:rpm é/{x}`;
    assert.equal((await meter.take(odd, [policy('rpm', 1)])).allowed, true);
    assert.equal((await meter.take(odd, [policy('rpm', 1)])).allowed, false);
  },

  'large units are exact': async (make) => {
    const meter = await make();
    const key = newKey();
    const tpd = policy('tpd', 10 ** 12, { seconds: 86_400, cost: 10 ** 12 - 1 });
    assert.equal((await meter.take(key, [tpd])).reports[0]?.remaining, 1);
    assert.equal((await meter.take(key, [{ ...tpd, cost: 2 }])).allowed, false);
    const last = await meter.take(key, [{ ...tpd, cost: 1 }]);
    assert.equal(last.allowed, true);
    const reset = last.reports[0]?.resetSeconds ?? 0;
    assert.ok(reset > 86_390 && reset <= 86_400, `${reset} seconds`);
  },

  'settle takes more, also over the limit, and gives back, not below none': async (make) => {
    const meter = await make();
    const key = newKey();
    const tpm = policy('tpm', 100, { cost: 30 });
    await meter.take(key, [tpm]);
    await meter.settle(key, tpm, 20);
    assert.equal(await remaining(meter, key, tpm), 50);
    await meter.settle(key, tpm, -10);
    assert.equal(await remaining(meter, key, tpm), 60);
    await meter.settle(key, tpm, 500);
    const over = await meter.take(key, [{ ...tpm, cost: 0 }]);
    assert.deepEqual([over.allowed, over.blocked, over.reports[0]?.remaining], [false, 'tpm', 0]);
    await meter.settle(key, tpm, -10_000);
    assert.equal(await remaining(meter, key, tpm), 100);
    await many(40, 20, () => meter.settle(key, tpm, 2));
    assert.equal(await remaining(meter, key, tpm), 20, 'settling also begins a window');
    await meter.settle(newKey(), tpm, -5);
  },

  'of 40 requests, 10 at once, at most 4 have a place, and each that is given back can be taken again': async (
    make,
  ) => {
    const meter = await make();
    const key = newKey();
    let running = 0;
    let most = 0;
    const results = await many(40, 10, async () => {
      const place = newLease(4);
      if (!(await meter.lease(key, place))) return false;
      most = Math.max(most, ++running);
      await sleep(5);
      running--;
      await meter.release(key, place.id);
      return true;
    });
    assert.ok(most <= 4, `${most} at once`);
    assert.ok(results.filter(Boolean).length >= 4);
    assert.equal(await places(meter, key, 4), 4);
    assert.equal(await meter.lease(newKey(), newLease(1)), true, 'another key has places of its own');
  },
};

/** The cases of meters that wait for windows and places to end. They may run at the same time. */
export const meterTimes: Contract<Meter> = {
  'a place that is never given back is free again after its seconds, and no earlier': async (make) => {
    const meter = await make();
    const key = newKey();
    assert.equal(await meter.lease(key, newLease(2, 2)), true);
    await sleep(1200);
    assert.equal(await meter.lease(key, newLease(2, 2)), true);
    assert.equal(await meter.lease(key, newLease(2, 2)), false);
    // The first one has ended, the second has more than a second left.
    await sleep(1000);
    assert.equal(await meter.lease(key, newLease(2, 2)), true);
    assert.equal(await meter.lease(key, newLease(2, 2)), false);
  },

  'a place that is renewed lasts, and one that has run out does not free the place of another': async (make) => {
    const meter = await make();
    const key = newKey();
    const [renewed, lost] = [newLease(2, 1), newLease(2, 1)];
    assert.equal(await meter.lease(key, renewed), true);
    assert.equal(await meter.lease(key, lost), true);
    assert.equal(await meter.lease(key, { ...renewed, seconds: 10 }), true, 'also where all places are taken');
    await sleep(1300);
    assert.equal(await meter.lease(key, newLease(2, 10)), true, 'in the place of the one that has run out');
    assert.equal(await meter.lease(key, lost), false);
    await meter.release(key, lost.id);
    assert.equal(await meter.lease(key, newLease(2, 10)), false);
    await meter.release(key, renewed.id);
    await meter.release(key, renewed.id);
    assert.equal(await places(meter, key, 2), 1);
  },

  'a window begins with the first take, not with a clock, and ends after its seconds': async (make) => {
    const meter = await make();
    const key = newKey();
    const short = policy('rpm', 2, { seconds: 2 });
    // Two thirds of a window: one that followed the clock's seconds would end in between at some of these.
    const first = await meter.take(key, [short]);
    assert.equal(first.reports[0]?.resetSeconds, 2);
    await sleep(1300);
    const second = await meter.take(key, [short]);
    assert.deepEqual([second.allowed, second.reports[0]?.remaining, second.reports[0]?.resetSeconds], [true, 0, 1]);
    const third = await meter.take(key, [short]);
    assert.deepEqual([third.allowed, third.reports[0]?.resetSeconds], [false, 1]);
    await sleep(900);
    const fourth = await meter.take(key, [short]);
    assert.deepEqual([fourth.allowed, fourth.reports[0]?.remaining, fourth.reports[0]?.resetSeconds], [true, 1, 2]);
    await sleep(2100);
    await meter.settle(key, short, -1);
    assert.equal(await remaining(meter, key, short), 2);
  },

  'a window whose units were all given back is none': async (make) => {
    const meter = await make();
    const key = newKey();
    const short = policy('tpm', 2, { seconds: 2 });
    await meter.take(key, [short]);
    await sleep(1200);
    await meter.settle(key, short, -1);
    const [none] = (await meter.take(key, [{ ...short, cost: 0 }])).reports;
    assert.deepEqual([none?.remaining, none?.resetSeconds], [2, 0]);
    const [anew] = (await meter.take(key, [short])).reports;
    assert.deepEqual([anew?.remaining, anew?.resetSeconds], [1, 2]);
  },
};
