import { createRoot } from 'react-dom/client';
import { rememberedChoice } from './engine/choice';
import { engine } from './engine/engine';
import { App } from './page/App';
import { keepPageOffline } from './page/offline';
import './styles/theme.css';
import './styles/base.css';
import './styles/page.css';
import './styles/setup.css';
import './styles/problem.css';
import './styles/search.css';
import './styles/map.css';
import './styles/models.css';
import './styles/digits.css';
import './styles/pictures.css';

// A model that was loaded before lies in the store: get it going before the page is drawn.
const remembered = rememberedChoice();
if (remembered) void engine.load(remembered);

const root = document.getElementById('root');
if (root) createRoot(root).render(<App />);
if (import.meta.env.PROD) keepPageOffline();
