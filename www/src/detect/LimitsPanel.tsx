import { figures, generatorsOf } from './figures';

/** The limits of the detector, with its measured errors. */
export function LimitsPanel() {
  const generators = generatorsOf(figures);
  return (
    <section className="card detect-panel" aria-labelledby="detect-limits-title">
      <h2 id="detect-limits-title">What it cannot know</h2>
      <ul className="detect-limits">
        <li>
          <strong>Who wrote a text.</strong> People write what a model foresees easily too: forms, reports, simple words
          in a language that they learn.
        </li>
        <li>
          <strong>Whether a machine helped.</strong> A text that a person reworked, or that was asked for in another
          style, is often missed.
        </li>
        <li>
          <strong>Anything about short texts and other languages.</strong> Under 100 tokens, and in other languages than
          English, it answers “uncertain”.
        </li>
        <li>
          <strong>Newer machines.</strong> It was tested with texts of{' '}
          {generators.length > 0 ? generators.join(', ') : 'generators that are not listed yet'}, and with none that
          came after them.
        </li>
        <li>
          <strong>How often machines write where you are.</strong> Where they write little, most alarms are false ones.
        </li>
      </ul>
    </section>
  );
}
