import { cores, setGlues } from '../runtime/worker.js';
import type { Port } from './peer.js';
import { serve } from './serve.js';

serve(globalThis as unknown as Port, cores, setGlues);
