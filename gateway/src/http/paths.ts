/** Finds the methods that a path takes, for answers to requests by other methods. */
import type { Operation } from '../operation.ts';

/** The path of an operation as Hono writes it. `{name+}` also takes slashes, as names of models have them. */
export function honoPath(path: string): string {
  return path.replace(/\{(\w+)(\+?)\}/g, (_, name, plus) => (plus ? `:${name}{.+}` : `:${name}`));
}

export class Paths {
  readonly #list: { pattern: RegExp; operation: Operation }[];

  constructor(operations: readonly Operation[]) {
    this.#list = operations.map((operation) => ({
      operation,
      pattern: new RegExp(
        `^${operation.path.replace(/[.]/g, '\\.').replace(/\{\w+(\+?)\}/g, (_, plus) => (plus ? '.+' : '[^/]+'))}$`,
      ),
    }));
  }

  /** The methods that a path takes, without OPTIONS; none where there is no such path. */
  methods(path: string): string[] {
    const methods = new Set(this.#matching(path).map(({ method }) => method as string));
    if (methods.has('GET')) methods.add('HEAD');
    return [...methods].sort();
  }

  /** Whether a path has an operation that needs no key. */
  isPublic(path: string): boolean {
    return this.#matching(path).some(({ scope }) => scope === 'public');
  }

  #matching(path: string): Operation[] {
    return this.#list.filter(({ pattern }) => pattern.test(path)).map(({ operation }) => operation);
  }
}
