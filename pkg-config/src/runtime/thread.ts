import * as glue from '#core/cpu.js';
import type { Cores } from '../core/backend.js';
import { Core } from '../core/core.js';
import { PilotlightError } from '../error.js';
import type { Spawner } from './spawn.js';

/** The core of a thread, which gets the compiled code from the thread that has started it. */
export const cores: Cores = {
  runtime: 'inline',
  cpu: new Core({
    name: 'the CPU core',
    glue: () => glue,
    wasm() {
      throw new PilotlightError('INTERNAL', 'the worker was not given its code');
    },
  }),
};

/** A thread starts no further ones. */
export const spawner: Spawner | undefined = undefined;
