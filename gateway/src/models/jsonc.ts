/** JSON with comments and commas before closing brackets, as in `models.jsonc`. */

/** A string, a comment, or a comma before a closing bracket, with what may be between them. */
const PARTS = /"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*|\/\*[\s\S]*?\*\/|,(?=(?:\s|\/\/[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*[\]}])/g;

/**
 * Parses a text.
 * @throws {SyntaxError} with the line and the column
 */
export function parseJsonc(text: string): unknown {
  // Blanks take the place of what is left out, so that positions in messages are those of the text.
  const json = text.replace(PARTS, (part) => (part.startsWith('"') ? part : part.replace(/[^\n]/g, ' ')));
  return JSON.parse(json);
}
