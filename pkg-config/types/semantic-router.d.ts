import type {
  CallOptions,
  Classification,
  ClassifierJson,
  Embedder,
  FitOptions,
  ImportOptions,
  StoreOptions,
} from './index.js';

/** A function that is called for a text of its route. The value that it returns or that its promise resolves to is the `result` of the choice. */
export type RouteHandler = (text: string, choice: RouteChoice) => unknown;

/** A route: a few requests that belong to it, ten at best. */
export interface Route {
  name: string;
  utterances: readonly string[];
  onRoute?: RouteHandler;
  /** The score under which the route is not taken; default the one that follows from `unknown`. */
  threshold?: number;
}

export interface RouterOptions extends Omit<FitOptions, 'thresholds'> {
  /** The share of good requests that may be refused; default 0.05. */
  unknown?: number;
}

/** The choice for one text. */
export interface RouteChoice extends Omit<Classification, 'label'> {
  /** The route; `null` where the text is not like the utterances. */
  name: string | null;
  /** The value that the handler of the route returned; absent if the route has no handler. */
  result?: unknown;
}

/** Sends texts to routes by their meaning, or to none. */
export declare class SemanticRouter {
  private constructor();
  /**
   * Learns routes, two at least, from their utterances.
   * @throws {PilotlightError} `INVALID_INPUT`, and as `TextClassifier.fit`
   */
  static create(embedder: Embedder, routes: readonly Route[], options?: RouterOptions): Promise<SemanticRouter>;
  /**
   * Reads the JSON of `toJSON`; handlers are set by `on`.
   * @throws {PilotlightError} as `TextClassifier.fromJSON`
   */
  static fromJSON(embedder: Embedder, json: string | object, options?: ImportOptions): Promise<SemanticRouter>;
  /**
   * Opens the router that was saved under a name, as a classifier is; `undefined` if there is none.
   * @throws {PilotlightError} as `TextClassifier.open`
   */
  static open(
    embedder: Embedder,
    name: string,
    options?: ImportOptions & StoreOptions,
  ): Promise<SemanticRouter | undefined>;
  /** The names of the routes, in the order of their code units. */
  readonly routes: readonly string[];
  /** The scores under which a route is not taken; they may be set, and are kept in the JSON. */
  thresholds: Readonly<Record<string, number>>;
  /** Sentences on the limits of the router, as those of a `TextClassifier`. */
  readonly notes: readonly string[];
  /**
   * Sets the handler of a route, or with `null` that of texts without one.
   * @throws {PilotlightError} `INVALID_INPUT` for a route that is none
   */
  on(name: string | null, handler: RouteHandler): this;
  /**
   * Finds the route of a text, and calls its handler. An error of the handler is thrown.
   * @throws {PilotlightError} `INVALID_INPUT`, `DISPOSED`, and what `embedder.embed` throws
   */
  route(text: string, options?: { topK?: number; signal?: AbortSignal }): Promise<RouteChoice>;
  /**
   * Sets for each route the threshold with which most of these texts are decided right; `route: null` is for texts that belong to none.
   * Returns the share that is right before and after; on other texts it will be lower.
   * @throws {PilotlightError} as `route`
   */
  fitThresholds(
    examples: readonly { text: string; route: string | null }[],
    options?: { signal?: AbortSignal },
  ): Promise<{ before: number; after: number }>;
  /**
   * Adds utterances, of new routes too, and learns again.
   * @throws {PilotlightError} as `TextClassifier.add`
   */
  add(routes: readonly Route[], options?: CallOptions): Promise<void>;
  /**
   * The router without its handlers, for `JSON.stringify`; `TextClassifier.fromJSON` reads it too.
   * @throws {PilotlightError} `DISPOSED`
   */
  toJSON(): ClassifierJson;
  /**
   * Saves the router under a name, as `TextClassifier.save` does.
   * @throws {PilotlightError} as `TextClassifier.save`
   */
  save(name: string, options?: StoreOptions): Promise<void>;
  /** Frees its memory, and not that of the embedder. */
  dispose(): void;
}
