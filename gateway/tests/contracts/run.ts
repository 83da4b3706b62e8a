/** Runs contracts in this process. Others run them in workerd and in Bun. */
import { describe, type TestContext, test } from 'node:test';
import type { Contract } from './contract.ts';

/**
 * Tests a body in this process. `make` gives an empty one, and cleans up by `context.after`. `concurrency`: whether the cases run at the same time,
 * because they wait.
 */
export function contract<T>(
  name: string,
  cases: Contract<T>,
  make: (context: TestContext) => Promise<T>,
  { concurrency = false } = {},
): void {
  describe(name, { concurrency }, () => {
    for (const [title, run] of Object.entries(cases)) test(title, (context) => run(() => make(context)));
  });
}
