/** Requests that schemathesis makes up from the description of the API. It takes minutes, so `make test-gateway` alone runs it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { createGateway } from '../src/app.ts';
import type { Call, Operation } from '../src/operation.ts';
import { operations } from '../src/operations.ts';
import { allModels } from './support/all-models.ts';
import { keyFor } from './support/app.ts';
import { testHost } from './support/host.ts';
import { lacking, longTest, pathOf } from './support/needs.ts';

const CASES = 2_000;

const nameOf = ({ method, path }: Operation) => `${method} ${path}`;

const settings = (key: string) => `
# Answers are slow where the machine is busy, and some operations have few cases.
suppress-health-check = ["all"]
continue-on-failure = true
warnings = false

[checks]
enabled = true
# A body that is too long for its schema may be too long to be read, too.
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415"]

[auth.openapi.bearer]
bearer = "${key}"

# These bodies have rules that JSON Schema cannot express: that bytes are an image, that all digits together are at most 64, and that
# the text of a vector has whole numbers.
${['POST /v1/images/embeddings', 'POST /v1/digits', 'POST /v1/indexes/{name}/query']
  .map((name) => `[[operations]]\ninclude-name = "${name}"\nchecks.positive_data_acceptance.enabled = false\n`)
  .join('\n')}
# Any bytes are a file, also those that schemathesis takes for a wrong type.
[[operations]]
include-name = "PUT /v1/files/{id}"
checks.negative_data_rejection.enabled = false
`;

longTest(
  `schemathesis finds no failure in ${CASES} cases, and reaches every operation`,
  {
    skip: lacking('schemathesis'),
    timeout: 900_000,
  },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'gateway-fuzz-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    // The tool tries each operation without a key, from one address.
    await using host = await testHost({
      models: allModels,
      settings: { PUBLIC: 'openapi.json' },
      parts: { allowFailure: async () => true },
    });
    // An operation is reached where a request got past its checks.
    const reached = new Set<string>();
    const watched = operations.map((operation) => ({
      ...operation,
      handle(call: Call) {
        reached.add(nameOf(operation));
        return operation.handle(call);
      },
    }));
    const app = createGateway(host, watched);
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1', overrideGlobalObjects: false });
    t.after(() => new Promise((resolve) => server.close(resolve)));
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const config = join(folder, 'schemathesis.toml');
    writeFileSync(config, settings(await keyFor(host)));
    const args = ['--config-file', config, 'run', `http://127.0.0.1:${port}/openapi.json`];
    const examples = Math.ceil(CASES / operations.length);
    args.push('--max-examples', String(examples), '--phases', 'coverage,fuzzing', '--no-color', '--seed', '1');
    args.push('--report-ndjson-path', join(folder, 'report.ndjson'));
    const child = spawn(pathOf('schemathesis'), args, { cwd: folder });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
    const status = await new Promise((resolve) => child.on('close', resolve));
    const summary = output.slice(output.indexOf('= SUMMARY ='));
    // Bodies may be long; each line tells enough by its begin.
    const lines = output.split('\n').map((line) => line.slice(0, 300));
    assert.equal(status, 0, lines.join('\n').slice(-30_000));
    const cases = Number(/(\d+) generated/.exec(summary)?.[1] ?? 0);
    t.diagnostic(`${cases} cases`);
    assert.ok(cases >= CASES, summary);
    assert.deepEqual(
      operations.map(nameOf).filter((name) => !reached.has(name)),
      [],
    );
    assert.equal(host.events.list.filter(({ status }) => status >= 500).length, 0);
    assert.ok(readFileSync(join(folder, 'report.ndjson'), 'utf8').length > 1000);
  },
);
