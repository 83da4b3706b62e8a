import { cores } from '#runtime';
import type * as Api from '../types/index.js';
import { abortable, signalOf } from './calls/abort.js';
import { checkModel, checkObject } from './calls/check.js';
import { withShared } from './calls/shared-options.js';
import { chooseBackend } from './core/backend.js';
import type { Glue } from './core/glue.js';
import { PilotlightError, toPilotlightError } from './error.js';
import { byteOptions } from './inputs/request.js';
import { isShared, locksFor } from './storage/locks.js';

/** The bytes that WebAssembly can address. */
const WASM_LIMIT = 2 ** 32;

interface Host {
  navigator?: {
    deviceMemory?: number;
    storage?: {
      estimate?(): Promise<{ quota?: number; usage?: number }>;
      persisted?(): Promise<boolean>;
      persist?(): Promise<boolean>;
    };
  };
}

const storage = () => (globalThis as Host).navigator?.storage;

/** The answer of the first `persist` call. It is kept, because some browsers prompt the user at each call. */
let asked: Promise<boolean> | undefined;

async function call<O extends Api.StoreOptions, T>(
  options: O,
  work: (glue: Glue, shared: O) => Promise<T>,
): Promise<T> {
  try {
    const instance = await cores.cpu.instance();
    return await withShared(options, (shared) => instance.run((glue) => work(glue, shared)));
  } catch (error) {
    throw toPilotlightError(error);
  }
}

const list = (options: Api.StoreOptions = {}) => call(options, ({ listModels }, shared) => listModels(shared));

/** Manages stored models, and plans loads. */
export const models: typeof Api.models = {
  async plan(model, options = {}) {
    try {
      const signal = signalOf(checkObject('options', options));
      checkModel(model, options);
      const { instance, report } = await abortable(chooseBackend(cores, options), signal);
      const { device, dtype, reason } = report;
      const planning = withShared(options, (shared) => {
        const locks = locksFor(isShared(shared.store), signal);
        const resolved = { ...shared, device, dtype, locks, ...byteOptions(shared, signal) };
        return instance.run(({ planModel }) => planModel(model, resolved));
      });
      const plan = await abortable(planning, signal);
      const problem = problemOf(plan);
      return {
        model,
        device,
        dtype,
        reason,
        ...plan,
        fits: problem === undefined,
        ...(problem !== undefined && { problem }),
      };
    } catch (error) {
      throw toPilotlightError(error);
    }
  },

  list,

  delete(key, options = {}) {
    if (typeof key !== 'string')
      return Promise.reject(
        new PilotlightError('INVALID_INPUT', `key: expected a key that list() gave, got ${typeof key}`),
      );
    return call(options, ({ deleteModel }, shared) => deleteModel(key, shared));
  },

  async usage(options = {}) {
    const [models, estimate, persisted] = await Promise.all([
      list(options),
      storage()
        ?.estimate?.()
        .catch(() => undefined),
      storage()
        ?.persisted?.()
        .catch(() => undefined),
    ]);
    return {
      modelBytes: models.reduce((sum, { bytes }) => sum + bytes, 0),
      ...(estimate?.usage !== undefined && { originBytes: estimate.usage }),
      ...(estimate?.quota !== undefined && { quotaBytes: estimate.quota }),
      persisted: persisted ?? false,
    };
  },

  async persist() {
    const host = storage();
    if (!host?.persist || !host.persisted)
      return { persisted: false, reason: 'This runtime has no storage that it could promise to keep.' };
    let kept: boolean;
    try {
      if (await host.persisted())
        return { persisted: true, reason: 'The browser keeps this site’s storage until you delete it.' };
      asked ??= host.persist();
      kept = await asked;
    } catch (error) {
      asked = undefined;
      const { message } = toPilotlightError(error);
      return { persisted: false, reason: `This page may not ask the browser to keep its storage (${message}).` };
    }
    return kept
      ? { persisted: true, reason: 'The browser now keeps this site’s storage until you delete it.' }
      : {
          persisted: false,
          reason:
            'The browser may delete models when it needs room; they are fetched again then. Visiting often or installing the page makes it keep them.',
        };
  },
};

/** A sentence for people that says why a model does not fit; `undefined` where it fits. */
function problemOf({
  whole,
  storeBytes,
  cachedBytes,
  availableBytes,
  memoryBytes,
}: Awaited<ReturnType<Glue['planModel']>>): string | undefined {
  const mb = (bytes: number): string => `${Math.ceil(bytes / 1e6)} MB`;
  const { deviceMemory } = (globalThis as Host).navigator ?? {};
  // Half of the device's memory is left to other programs.
  const limit = Math.min(WASM_LIMIT, deviceMemory ? (deviceMemory * 2 ** 30) / 2 : WASM_LIMIT);
  if (memoryBytes > limit) return `The model needs about ${mb(memoryBytes)} of memory, and ${mb(limit)} can be had.`;
  // A partial download takes no more bytes in the store than were fetched.
  const missing = whole ? 0 : storeBytes - Math.min(cachedBytes, storeBytes);
  if (availableBytes !== undefined && missing > availableBytes)
    return `The store needs ${mb(missing)} more, and ${mb(availableBytes)} are left.`;
  return undefined;
}
