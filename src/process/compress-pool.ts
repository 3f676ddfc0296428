import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';

/** Compresses files on a thread of its own, started when the first one comes. */
export class CompressPool {
  #pool: Piscina | null = null;

  /** Replaces the file by `<path>.gz`; the source stays when compression fails. */
  compress(path: string): Promise<void> {
    this.#pool ??= new Piscina({ filename: workerFile(), minThreads: 0, maxThreads: 1, idleTimeout: 10_000, maxQueue: 64 });
    return this.#pool.run(path) as Promise<void>;
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }
}

function workerFile(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../../workers/compress.${extension}`, import.meta.url));
}
