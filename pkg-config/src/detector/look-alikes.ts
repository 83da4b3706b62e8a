/** Letters of other scripts, and of phonetic writing, that look like Latin ones. */
const ROWS: readonly (readonly [string, string])[] = [
  // Cyrillic
  ['аеорсухіјѕԁһԛԝѵӏ', 'aeopcyxijsdhqwvl'],
  ['АВЕКМНОРСТХЅІЈУҮԚԜ', 'ABEKMHOPCTXSIJYYQW'],
  // Greek
  ['οναρυιϲκγ', 'ovapuicky'],
  ['ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ', 'ABEZHIKMNOPTYX'],
  // Armenian
  ['օսհոցԼՕՍ', 'ouhngLOU'],
  // Phonetic
  ['ɑɡɩ', 'agi'],
];

/** The Latin letter that a letter looks like. */
export const LOOK_ALIKES: ReadonlyMap<string, string> = new Map(
  ROWS.flatMap(([alike, latin]) => [...alike].map((letter, i) => [letter, latin[i] ?? letter] as const)),
);
