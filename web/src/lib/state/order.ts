/** The order of questions and of their answers, which may come in another: an answer counts until one to a later question came. */
export class Order {
  #asked = 0;
  #answered = 0;

  /** Whether an answer to the last question is still to come. */
  get waits(): boolean {
    return this.#answered < this.#asked;
  }

  /** A question is asked now; gives its place. */
  ask(): number {
    return (this.#asked += 1);
  }

  isLast(asked: number): boolean {
    return asked === this.#asked;
  }

  /** The answer to it has come: whether it counts. */
  counts(asked: number): boolean {
    if (asked < this.#answered) return false;
    this.#answered = asked;
    return true;
  }

  /** Something was told without being asked: what was asked before is older. */
  told() {
    this.#answered = this.ask();
  }
}

/** Asks, and takes an answer that counts. Without an answer all stays as it is. */
export function newest<T>(ask: () => Promise<T>, take: (answer: T) => void): () => Promise<void> {
  const order = new Order();
  return async () => {
    const asked = order.ask();
    const answer = await ask().catch(() => undefined);
    if (answer !== undefined && order.counts(asked)) take(answer);
  };
}
