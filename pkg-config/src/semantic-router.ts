import type * as Api from '../types/index.js';
import { checkObject, shown } from './calls/check.js';
import { CONSTRUCT, checkConstruct } from './calls/construct.js';
import { PilotlightError } from './error.js';
import { TextClassifier } from './text-classifier.js';

/** The share of good requests that may be refused. */
const UNKNOWN = 0.05;

/** Sends texts to routes: a classifier whose labels have handlers. */
export class SemanticRouter implements Api.SemanticRouter {
  readonly #classifier: TextClassifier;
  /** The handler of each route; that of `null` is for texts without a route. */
  readonly #handlers = new Map<string | null, Api.RouteHandler>();

  private constructor(key: symbol, classifier: TextClassifier) {
    checkConstruct(key, 'SemanticRouter', 'create(), fromJSON() or open()');
    this.#classifier = classifier;
  }

  static async create(
    embedder: Api.Embedder,
    routes: readonly Api.Route[],
    options: Api.RouterOptions = {},
  ): Promise<SemanticRouter> {
    const list = checkRoutes(routes);
    // With one route, the classifier's error would be about labels.
    if (list.length < 2)
      throw new PilotlightError('INVALID_INPUT', `routes: expected two at least, got ${list.length}`);
    const { unknown = UNKNOWN, ...fit } = checkObject('options', options) as Api.RouterOptions;
    const classifier = await TextClassifier.fit(embedder, examplesOf(list), {
      ...fit,
      unknown,
      thresholds: thresholdsOf(list),
    });
    return new SemanticRouter(CONSTRUCT, classifier).#addHandlers(list);
  }

  static async fromJSON(
    embedder: Api.Embedder,
    json: string | object,
    options: Api.ImportOptions = {},
  ): Promise<SemanticRouter> {
    return new SemanticRouter(CONSTRUCT, await TextClassifier.fromJSON(embedder, json, options));
  }

  static async open(
    embedder: Api.Embedder,
    name: string,
    options: Api.ImportOptions & Api.StoreOptions = {},
  ): Promise<SemanticRouter | undefined> {
    const classifier = await TextClassifier.open(embedder, name, options);
    return classifier && new SemanticRouter(CONSTRUCT, classifier);
  }

  get routes(): readonly string[] {
    return this.#classifier.labels;
  }

  get thresholds(): Readonly<Record<string, number>> {
    return this.#classifier.thresholds;
  }

  set thresholds(thresholds: Readonly<Record<string, number>>) {
    this.#classifier.thresholds = thresholds;
  }

  get notes(): readonly string[] {
    return this.#classifier.notes;
  }

  on(name: string | null, handler: Api.RouteHandler): this {
    if (name !== null && !this.routes.includes(name))
      throw new PilotlightError('INVALID_INPUT', `name: the router has no route ${shown(name)}`);
    if (typeof handler !== 'function')
      throw new PilotlightError('INVALID_INPUT', `handler: expected a function, got ${typeof handler}`);
    this.#handlers.set(name, handler);
    return this;
  }

  async route(text: string, options: { topK?: number; signal?: AbortSignal } = {}): Promise<Api.RouteChoice> {
    if (typeof text !== 'string')
      throw new PilotlightError('INVALID_INPUT', `text: expected one text, got ${typeof text}`);
    const [answer] = await this.#classifier.classify([text], options);
    const { label: name, ...rest } = answer as Api.Classification;
    const choice: Api.RouteChoice = { name, ...rest };
    const handler = this.#handlers.get(name);
    return handler ? { ...choice, result: await handler(text, choice) } : choice;
  }

  async fitThresholds(
    examples: readonly { text: string; route: string | null }[],
    options: { signal?: AbortSignal } = {},
  ): Promise<{ before: number; after: number }> {
    const { signal } = checkObject('options', options) as { signal?: AbortSignal };
    const expected = checkExpected(examples, this.routes);
    const answers = await this.#classifier.classify(
      examples.map(({ text }) => text),
      { topK: 1, ...(signal && { signal }) },
    );
    const share = (right: number): number => right / answers.length;
    const before = share(answers.filter(({ label }, i) => label === expected[i]).length);
    let after = 0;
    const thresholds = new Map(Object.entries(this.thresholds));
    for (const route of this.routes) {
      const own = answers.flatMap(({ scores, score }, i) =>
        scores[0]?.label === route ? [{ score, isRight: expected[i] === route, isNone: expected[i] === null }] : [],
      );
      const best = bestThreshold(own);
      after += best.right;
      if (best.threshold !== undefined) thresholds.set(route, best.threshold);
    }
    this.thresholds = Object.fromEntries(thresholds);
    return { before, after: share(after) };
  }

  async add(routes: readonly Api.Route[], options: Api.CallOptions = {}): Promise<void> {
    const list = checkRoutes(routes);
    await this.#classifier.add(examplesOf(list), options);
    this.thresholds = { ...this.thresholds, ...thresholdsOf(list) };
    this.#addHandlers(list);
  }

  toJSON(): Api.ClassifierJson {
    return this.#classifier.toJSON();
  }

  save(name: string, options: Api.StoreOptions = {}): Promise<void> {
    return this.#classifier.save(name, options);
  }

  dispose(): void {
    this.#classifier.dispose();
  }

  #addHandlers(routes: readonly Api.Route[]): this {
    for (const { name, onRoute } of routes) if (onRoute) this.on(name, onRoute);
    return this;
  }
}

interface Decided {
  score: number;
  /** Whether the text belongs to the route, and whether it belongs to none. */
  isRight: boolean;
  isNone: boolean;
}

/** Finds the threshold with which most texts are decided right, in the middle of the widest range of such thresholds. */
function bestThreshold(texts: readonly Decided[]): { right: number; threshold?: number } {
  if (texts.length === 0) return { right: 0 };
  const sorted = [...texts].sort((a, b) => a.score - b.score);
  let right = sorted.filter(({ isRight }) => isRight).length;
  let best = { right: -1, width: 0, threshold: 0 };
  let lower = 0;
  // A threshold between two scores refuses the texts below it.
  for (let refused = 0; refused <= sorted.length; refused += 1) {
    const upper = sorted[refused]?.score ?? 1;
    const width = upper - lower;
    if (width > 0 && (right > best.right || (right === best.right && width > best.width)))
      best = { right, width, threshold: (lower + upper) / 2 };
    const next = sorted[refused];
    right += Number(next?.isNone ?? false) - Number(next?.isRight ?? false);
    lower = upper;
  }
  return best.right < 0 ? { right } : { right: best.right, threshold: best.threshold };
}

function checkRoutes(routes: unknown): readonly Api.Route[] {
  if (!Array.isArray(routes))
    throw new PilotlightError('INVALID_INPUT', `routes: expected a list of { name, utterances }, got ${typeof routes}`);
  const names = new Set<unknown>();
  for (const [i, route] of routes.entries()) {
    const { name, utterances, onRoute, threshold } = checkObject(`routes[${i}]`, route) as Partial<Api.Route>;
    const wrong = (what: string): PilotlightError => new PilotlightError('INVALID_INPUT', `routes[${i}].${what}`);
    if (typeof name !== 'string' || name.trim() === '') throw wrong('name: expected a text that is not empty');
    if (names.has(name)) throw wrong(`name: there are two routes '${name}'`);
    names.add(name);
    if (!Array.isArray(utterances) || utterances.length === 0)
      throw wrong(`utterances: expected a list of texts for '${name}', one at least`);
    const empty = utterances.findIndex((text) => typeof text !== 'string' || text.trim() === '');
    if (empty >= 0)
      throw wrong(`utterances[${empty}]: expected a text that is not empty, got ${shown(utterances[empty])}`);
    if (onRoute !== undefined && typeof onRoute !== 'function')
      throw wrong(`onRoute: expected a function, got ${typeof onRoute}`);
    if (threshold !== undefined && !Number.isFinite(threshold))
      throw wrong(`threshold: expected a number, got ${shown(threshold)}`);
  }
  return routes;
}

function checkExpected(examples: unknown, routes: readonly string[]): (string | null)[] {
  if (!Array.isArray(examples) || examples.length === 0)
    throw new PilotlightError('INVALID_INPUT', 'examples: expected a list of { text, route }, one at least');
  return examples.map((example, i) => {
    const { text, route } = checkObject(`examples[${i}]`, example) as { text?: unknown; route?: unknown };
    if (typeof text !== 'string') throw new PilotlightError('INVALID_INPUT', `examples[${i}].text: expected a text`);
    if (route === null || (typeof route === 'string' && routes.includes(route))) return route;
    throw new PilotlightError('INVALID_INPUT', `examples[${i}].route: expected a route or null, got ${shown(route)}`);
  });
}

const examplesOf = (routes: readonly Api.Route[]): { text: string; label: string }[] =>
  routes.flatMap(({ name, utterances }) => utterances.map((text) => ({ text, label: name })));

const thresholdsOf = (routes: readonly Api.Route[]): Record<string, number> =>
  Object.fromEntries(
    routes.flatMap(({ name, threshold }) => (threshold === undefined ? [] : [[name, threshold] as const])),
  );
