/** The least number of texts for a threshold, and the number for a threshold of 1 %. */
export const LEAST_TEXTS = 50;
export const TEXTS_FOR_ONE_PERCENT = 99;

/** Words of a text of about 100 tokens. */
export const LEAST_WORDS = 75;

const RULE = /^[ \t]*-{3,}[ \t]*$/m;

/** Splits pasted text into several: at lines of dashes if there is one, else at empty lines. */
export function textsIn(source: string): string[] {
  const plain = source.replace(/\r\n?/g, '\n');
  return plain
    .split(RULE.test(plain) ? RULE : /\n[ \t]*\n/)
    .map((text) => text.trim())
    .filter(Boolean);
}

/** Returns the number of texts that are likely to have fewer than 100 tokens. */
export const shortOnes = (texts: readonly string[]): number =>
  texts.filter((text) => text.split(/\s+/).length < LEAST_WORDS).length;
