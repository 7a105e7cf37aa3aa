/** Opens a dialog over everything, for `{@attach modal}`; the focus goes back to where it was when the dialog is gone. */
export function modal(node: HTMLDialogElement) {
  const before = document.activeElement as HTMLElement | null;
  node.showModal();
  return () => {
    node.close();
    before?.focus();
  };
}
