// Calls of functions in a page, whatever carries them there: as text, with arguments and results in JSON.

/** An expression that calls the function in a page; its value is a promise of a text for `resultOf`. */
export const expressionOf = (work, argument) =>
  `(async () => {
    try {
      return JSON.stringify({ value: await (${work})(${JSON.stringify(argument)}) });
    } catch (error) {
      return JSON.stringify({ error: String(error?.message ?? error) });
    }
  })()`;

/** The result of the function. @throws {Error} what it threw in the page */
export function resultOf(text) {
  const { value, error } = JSON.parse(text);
  if (error !== undefined) throw new Error(`in the page: ${error}`);
  return value;
}
