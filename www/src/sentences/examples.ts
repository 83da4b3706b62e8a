/** Sentences of six loose topics, so that the map has groups to show. */
export const exampleSentences = [
  'The soup needs a pinch more salt.',
  'My card was charged twice for the same order.',
  'Two herons stood motionless in the reeds.',
  'The telescope found water vapour around a distant planet.',
  'Heavy rain is expected along the coast tonight.',
  'He learned three chords and wrote a song.',
  'Let the dough rest overnight in the fridge.',
  'How do I get a refund for a cancelled flight?',
  'The puppy chewed through another pair of shoes.',
  'Astronauts repaired the station’s solar panel.',
  'The trail to the summit is covered in snow.',
  'The orchestra tuned before the first movement.',
  'She roasted the carrots with honey and thyme.',
  'The bank raised its interest rate again.',
  'Our cat sleeps on the warm radiator.',
  'A vaccine trains the immune system to recognise a virus.',
  'We pitched the tent beside a quiet lake.',
  'I could not stop laughing at that film.',
  'This knife is too blunt to slice tomatoes.',
  'My rent goes up faster than my salary.',
  'The bees returned to their hive at dusk.',
  'The new battery charges in nine minutes.',
  'A warm wind blew in from the south.',
  'The gallery opens its doors at ten.',
];

/** Searches that find something among the example sentences. */
export const exampleQueries = ['trouble with money', 'something to eat', 'a walk outdoors', 'science'];
