/** The one Durable Object that adds up the metrics of all isolates. */
import { DurableObject } from 'cloudflare:workers';
import type { DurableObjectState } from '@cloudflare/workers-types';
import { Metrics as Counted, type Samples } from './metrics.ts';

const NAME = 'samples';

export class Metrics extends DurableObject {
  readonly #counted = new Counted();

  constructor(ctx: DurableObjectState, env: unknown) {
    super(ctx, env);
    this.#counted.add(ctx.storage.kv.get<Samples>(NAME) ?? []);
  }

  add(samples: Samples): void {
    this.#counted.add(samples);
    // The object is put away when nobody asks for a minute or two; its counters are not to begin at 0 then.
    this.ctx.storage.kv.put(NAME, this.#counted.samples());
  }

  render(): string {
    return this.#counted.render();
  }
}
