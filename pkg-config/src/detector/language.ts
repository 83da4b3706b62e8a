/**
 * Words that an English text of some length has many of. Those that are frequent words of another language too, such as "in", "is",
 * "no", "he" or "do", are left out.
 */
const FUNCTION_WORDS = new Set(
  (
    'the of and to that it for with as by this had not are but from or which you were her his their they she there would been ' +
    'has have when who will more if out said what up its about into than them can only other could these two may then any now like ' +
    'our even most after also did many before must through where much your how too because each just those people very own should ' +
    'while being we him some be all between both during'
  ).split(' '),
);

const WORD = /[\p{L}\p{M}']+/gu;

/** The least share of function words, and of Latin letters without accents among all letters. */
const LEAST_WORDS = 0.08;
const LEAST_LETTERS = 0.9;

/** Returns measures of English: the share of a text's words that are English function words, and of its letters that are those of English. */
export function englishness(text: string): { words: number; letters: number } {
  let [count, known] = [0, 0];
  for (const [word] of text.toLowerCase().matchAll(WORD)) {
    count += 1;
    if (FUNCTION_WORDS.has(word)) known += 1;
  }
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  const english = text.match(/[a-z]/gi)?.length ?? 0;
  return { words: count > 0 ? known / count : 0, letters: letters > 0 ? english / letters : 0 };
}

/** Whether a text is English, as far as its function words and letters tell. */
export function isEnglish(text: string): boolean {
  const { words, letters } = englishness(text);
  return words >= LEAST_WORDS && letters >= LEAST_LETTERS;
}
