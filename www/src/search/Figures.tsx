import { count, milliseconds } from '../page/format';
import type { CallReport } from '../sentences/useSentences';

interface Props {
  list: CallReport | null;
  working: boolean;
  search: CallReport | null;
}

/** The times that the last calls of the model took. */
export function Figures({ list, working, search }: Props) {
  return (
    <dl className="figures" aria-label="Time per call">
      <div>
        <dt>{working ? 'Embedding the list' : 'The list'}</dt>
        <dd>{list ? milliseconds(list.ms) : '–'}</dd>
        <dd className="figures-note">
          {list ? `${count(list.texts, 'sentence')}, ${count(list.tokens, 'token')}` : 'not embedded yet'}
        </dd>
      </div>
      <div>
        <dt>Per sentence</dt>
        <dd>{list && list.texts > 0 ? milliseconds(list.ms / list.texts) : '–'}</dd>
        <dd className="figures-note">
          {list && list.tokens > 0 ? `${milliseconds(list.ms / list.tokens)} a token` : 'on average'}
        </dd>
      </div>
      <div>
        <dt>Last search</dt>
        <dd>{search ? milliseconds(search.ms) : '–'}</dd>
        <dd className="figures-note">{search ? count(search.tokens, 'token') : 'none yet'}</dd>
      </div>
    </dl>
  );
}
