export declare const script: string;
