/** Models that were trained with prompts and do not say so in a file, by the ends of their repositories' names. */
const KNOWN: readonly (readonly [RegExp, string])[] = [
  [
    /(^|\/)(multilingual-)?e5-(small|base|large)(-v2)?$/,
    "It was trained with 'query: ' before a query and 'passage: ' before a passage; for tasks without a search, 'query: ' before each text.",
  ],
  [
    /(^|\/)bge-(small|base|large)-en(-v1\.5)?$/,
    "It was trained with 'Represent this sentence for searching relevant passages: ' before the query of a search, and nothing before a passage.",
  ],
  [
    /(^|\/)(mxbai-embed-large-v1|snowflake-arctic-embed-(xs|s|m|l))$/,
    "It was trained with 'Represent this sentence for searching relevant passages: ' before the query of a search, and nothing before a passage.",
  ],
  [
    /(^|\/)nomic-embed-text-v1(\.5)?$/,
    "It was trained with a task before each text: 'search_query: ', 'search_document: ', 'classification: ' or 'clustering: '.",
  ],
];

/** Returns hints about the prompts that a model was trained with, which are never added unasked; none if the repository names its prompts. */
export function promptHints(model: string, prompts: Readonly<Record<string, string>>): readonly string[] {
  if (Object.values(prompts).some((prompt) => prompt !== '')) return [];
  const name = model.toLowerCase();
  return KNOWN.flatMap(([pattern, sentence]) =>
    pattern.test(name) ? [`${model}: ${sentence} Pass it as \`prompt\`.`] : [],
  );
}
