/**
 * Checks, when it is compiled, that the exports are those of the published types; it is never shipped. A class's `implements`
 * compares instances only; here its static functions are compared too, and no export may be missing or too many.
 */

/** A class without its constructor, which is private in the published types. */
type Public<T> = T extends (...args: never[]) => unknown ? T : Pick<T, keyof T>;
type PublicOf<Module> = { [Name in keyof Module]: Public<Module[Name]> };
type Matches<Module extends PublicOf<Types>, Types> = Exclude<keyof Module, keyof Types> extends never ? true : never;

export const index: Matches<typeof import('./index.js'), typeof import('../types/index.js')> = true;
export const judge: Matches<typeof import('./judge.js'), typeof import('../types/judge.js')> = true;
export const react: Matches<typeof import('./react/index.js'), typeof import('../types/react.js')> = true;
export const ai: Matches<typeof import('./adapters/ai.js'), typeof import('../types/adapters/ai.js')> = true;
export const langchain: Matches<
  typeof import('./adapters/langchain.js'),
  typeof import('../types/adapters/langchain.js')
> = true;
export const orama: Matches<typeof import('./adapters/orama.js'), typeof import('../types/adapters/orama.js')> = true;
