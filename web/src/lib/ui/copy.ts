/** Copies text; where the clipboard is refused (no permission, no focus) it says so by returning false. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
