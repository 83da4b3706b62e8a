import { SearchField } from '../search/SearchField';
import type { PictureModel } from './picture-models';
import type { Wanted } from './usePictureSearch';

interface Props {
  model: PictureModel;
  ready: boolean;
  wanted: Wanted;
  onChange: (wanted: Wanted) => void;
}

export function PictureSearch({ model, ready, wanted, onChange }: Props) {
  const text = 'text' in wanted ? wanted.text : '';
  const like = 'like' in wanted ? wanted.like : null;
  return (
    <div className="search" role="search">
      <SearchField
        id="pictures-search"
        label="Search the pictures in words"
        text={text}
        placeholder={ready ? 'Say what is to be seen' : 'Load the model to search'}
        ready={ready}
        examples={model.suggestions}
        onChange={(next) => onChange({ text: next })}
      />
      {like && (
        <p className="like">
          <img src={like.url} alt="" width={48} height={48} />
          <span>
            Like <strong>{like.name}</strong>
          </span>
          <button type="button" className="button quiet" onClick={() => onChange({ text: '' })}>
            Show all
          </button>
        </p>
      )}
    </div>
  );
}
