import type { StoredModel } from 'pilotlight';
import { WEIGHTS } from '../engine/backend-words';
import { hostName } from '../engine/choice';
import { ago } from '../page/format';
import { CHECKED, partWords, versionWords } from './model-words';

/** The facts about a stored model: its origin, version, last use and verification. */
export function ModelFacts({ model }: { model: StoredModel }) {
  return (
    <div>
      <dl className="facts">
        {model.part && (
          <div>
            <dt>Part</dt>
            <dd>{partWords(model.part)}</dd>
          </div>
        )}
        <div>
          <dt>Weights</dt>
          <dd>{WEIGHTS[model.dtype].replace(' weights', '')}</dd>
        </div>
        <div>
          <dt>From</dt>
          <dd title={model.host}>{hostName(model.host)}</dd>
        </div>
        <div>
          <dt>Version</dt>
          <dd title={model.commit}>{versionWords(model)}</dd>
        </div>
        <div>
          <dt>{model.whole ? 'Last used' : 'Last tried'}</dt>
          <dd>{model.lastUsed === undefined ? 'not known' : ago(model.lastUsed)}</dd>
        </div>
      </dl>
      {model.verified && <p className="model-checked">{CHECKED[model.verified]}</p>}
    </div>
  );
}
