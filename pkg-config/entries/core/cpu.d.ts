import type { Glue } from '../glue.js';

declare const init: Glue['default'];
export default init;
export declare const coreInfo: Glue['coreInfo'];
export declare const TextEmbedderHandle: Glue['TextEmbedderHandle'];
export declare const ImageTextEmbedderHandle: Glue['ImageTextEmbedderHandle'];
export declare const DigitGeneratorHandle: Glue['DigitGeneratorHandle'];
export declare const DigitClassifierHandle: Glue['DigitClassifierHandle'];
export declare const VectorIndexHandle: Glue['VectorIndexHandle'];
export declare const planModel: Glue['planModel'];
export declare const refreshModel: Glue['refreshModel'];
export declare const listModels: Glue['listModels'];
export declare const deleteModel: Glue['deleteModel'];
export declare const exportModel: Glue['exportModel'];
export declare const sweepModels: Glue['sweepModels'];
export declare const __wbg_reset_state: Glue['__wbg_reset_state'];
export declare const onTrap: Glue['onTrap'];
export declare const trapped: Glue['trapped'];
