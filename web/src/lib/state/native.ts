/**
 * Whether this page is in a native window. There a page opens, closes and raises windows by saying so to the server, like any
 * program; who draws the windows hears of it by the changes. Pages have no other way to it.
 */
export const isNative = /\bGanderDesktop\//.test(navigator.userAgent);

/** How long a native window may take to show a page that is ready. One that is minimised does not. */
const SHOWN_MS = 5000;

/** Ends when what is drawn is on the screen: the list of rows knows their heights in the first frame and is at its place in the second. */
export async function onScreen(): Promise<void> {
  // A tab behind others is drawn when somebody goes to it.
  if (document.hidden && !isNative) return;
  const frame = () => new Promise((go) => requestAnimationFrame(go));
  const drawn = async () => {
    if (document.hidden) await new Promise((go) => document.addEventListener('visibilitychange', go, { once: true }));
    await frame();
    await frame();
    await new Promise((go) => setTimeout(go));
  };
  await Promise.race([drawn(), new Promise((go) => setTimeout(go, SHOWN_MS))]);
}
