import type { CoreInstance } from './instance.js';

/** The core instance and device that a model runs on. */
export interface RunsOn {
  instance: CoreInstance;
  device: 'cpu' | 'webgpu';
}

/** A symbol that is the same in every script of the package: `pilotlight/judge` is bundled by itself. */
const KEY = Symbol.for('pilotlight.runs-on');

/** Lets one model of the package find the core that another runs in. */
export const coreOf = {
  set(model: object, value: RunsOn): void {
    Object.defineProperty(model, KEY, { value });
  },
  get(model: unknown): RunsOn | undefined {
    return typeof model === 'object' && model !== null ? (model as { [KEY]?: RunsOn })[KEY] : undefined;
  },
};
