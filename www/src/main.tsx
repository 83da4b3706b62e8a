import { createRoot } from 'react-dom/client';
import { rememberedChoice } from './engine/choice';
import { engine } from './engine/engine';
import { App } from './page/App';
import { trackInputModality } from './page/input-modality';
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
import './styles/images.css';
import './styles/route.css';
import './styles/detect.css';

trackInputModality();

// A model that an earlier visit loaded is in the store: its load begins before the page is drawn.
const remembered = rememberedChoice();
if (remembered) void engine.load(remembered);

const root = document.getElementById('root');
if (root) createRoot(root).render(<App />);
if (import.meta.env.PROD) keepPageOffline();
