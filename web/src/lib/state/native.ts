/**
 * Whether this page is in a native window. There a page opens, closes and raises windows by saying so to the server, like any
 * program; who draws the windows hears of it by the changes. Pages have no other way to it.
 */
export const isNative = /\bGanderDesktop\//.test(navigator.userAgent);
