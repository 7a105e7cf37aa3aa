declare const __FAKE__: boolean;
