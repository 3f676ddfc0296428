import type { Exchange, HeaderList } from '../core/exchange.ts';
import type { LimitFigures } from '../core/limit-fields.ts';

/** A streamed answer that leaves in one piece, because its connection closes behind it. */
export class WholeAnswer {
  #status = 0;
  #headers: HeaderList = [];
  #figures: LimitFigures | undefined = undefined;
  #pieces: Buffer[] | null = null;

  open(status: number, headers: HeaderList, figures: LimitFigures | undefined): void {
    if (this.#pieces !== null) return;
    this.#status = status;
    this.#headers = headers;
    this.#figures = figures;
    this.#pieces = [];
  }

  write(chunk: string | Uint8Array): void {
    this.#pieces?.push(Buffer.from(chunk));
  }

  /** Nothing is sent of what was never opened. */
  end(exchange: Exchange): void {
    if (this.#pieces !== null) exchange.send(this.#status, this.#headers, Buffer.concat(this.#pieces), this.#figures);
  }
}
