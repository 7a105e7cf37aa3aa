export interface Toast {
  id: number;
  text: string;
  detail?: string;
  tone: 'plain' | 'error';
  action?: { label: string; run: () => void };
}

/** Short notices at the edge of the screen; one with an action stays longer. */
export class Toasts {
  items = $state.raw<Toast[]>([]);
  #next = 1;

  show(text: string, more: Partial<Omit<Toast, 'id' | 'text'>> = {}) {
    const toast: Toast = { id: this.#next++, text, tone: 'plain', ...more };
    this.items = [...this.items.slice(-2), toast];
    setTimeout(() => this.dismiss(toast.id), toast.action || toast.tone === 'error' ? 10_000 : 4_000);
  }

  dismiss(id: number) {
    this.items = this.items.filter((toast) => toast.id !== id);
  }
}
