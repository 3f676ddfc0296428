import { randomBytes } from 'node:crypto';
import { systemClock } from '../core/clock.ts';
import type { ConfigSnapshot } from '../core/config.ts';
import type { Log } from '../core/log.ts';
import { asSessionNews, type SessionNews } from '../core/session-news.ts';
import type { Store } from '../core/store.ts';
import type { NewsFigures } from '../observe/news-families.ts';
import { Seal } from '../pipeline/seal.ts';
import { type LogEntry, LOG_START, NewsLog, READ_ENTRIES } from '../store/news-log.ts';
import { NewsOutbox } from './news-outbox.ts';
import { StartError } from './ports.ts';

/** How often what other hosts say is fetched. */
const TICK_MS = 500;
/** Uses within this part of the idle time count as one for other hosts. */
const GRAIN = 8;
/** Beyond the time for which an end must be known. */
const KEEP_SLACK_SECS = 120;
const MAX_TEXT_CHARS = 65_536;
/** Steps of one tick: a host that begins has a whole log to read. */
const MAX_STEPS = 64;

/** What is behind the desk. */
export interface NewsDeskParts {
  readonly store: Store;
  readonly prefix: string;
  readonly seal: Seal;
  readonly idleTtlMs: number;
  /** For the workers of this host. */
  deliver(news: SessionNews): void;
}

/**
 * Tells other hosts by the store which sessions ended, were used and had a request taken back, and hears it of them. What is told is sealed with the keys
 * that seal session ids: the store learns no names, and nobody who writes there ends a session.
 */
export class NewsDesk {
  readonly #parts: NewsDeskParts;
  readonly #log: NewsLog;
  readonly #outbox = new NewsOutbox();
  /** Of this host, so that it does not hear itself. */
  readonly #host = randomBytes(9).toString('base64url');
  readonly #ticking: { cancel(): void };
  readonly #turning: { cancel(): void };
  #position = LOG_START;
  /** Texts that may not have been appended. */
  #unsent: string | null = null;
  #isBusy = false;
  #counts = { sent: 0, received: 0, failed: 0 };

  constructor(parts: NewsDeskParts) {
    this.#parts = parts;
    this.#log = new NewsLog(parts.store, parts.prefix, Math.ceil(parts.idleTtlMs / 1000) + KEEP_SLACK_SECS);
    this.#ticking = systemClock.every(TICK_MS, () => void this.#exchange());
    this.#turning = systemClock.every(Math.max(parts.idleTtlMs / GRAIN, 1), () => this.#outbox.turn(systemClock.wallMs()));
  }

  /** Null where no other host could read it: without a store, or without keys that others have. @throws StartError */
  static async open(config: ConfigSnapshot, log: Log, deliver: (news: SessionNews) => void): Promise<NewsDesk | null> {
    const { redis, session } = config;
    if (redis === null || session.sealKeys === null) return null;
    const { connectStore } = await import('../store/connect.ts');
    try {
      const store = connectStore(redis, log.child({ store: 'sessions' }));
      const seal = Seal.of(
        session.sealKeys.map((key) => Buffer.from(key)),
        'session news',
      );
      return new NewsDesk({ store, prefix: redis.prefix, seal, idleTtlMs: session.idleTtlMs, deliver });
    } catch (error) {
      throw new StartError(`cannot open the store of redis.url: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }

  get figures(): NewsFigures {
    return { ...this.#counts, dropped: this.#outbox.dropped };
  }

  /** From a worker of this host. An end is told at once. */
  add(news: SessionNews): void {
    this.#outbox.add(news);
    if (news.ended.length + news.cancelled.length > 0) void this.#exchange();
  }

  /** A worker has begun that knows nothing yet. */
  reread(): void {
    this.#position = LOG_START;
  }

  async close(): Promise<void> {
    this.#ticking.cancel();
    this.#turning.cancel();
    await this.#exchange();
    await this.#parts.store.close();
  }

  async #exchange(): Promise<void> {
    if (this.#isBusy || this.#parts.store.state !== 'ready') return;
    this.#isBusy = true;
    try {
      for (let step = 0; step < MAX_STEPS; step++) {
        const isMore = await this.#step();
        if (!isMore && this.#outbox.isEmpty) break;
      }
    } catch {
      // The store's loss is logged where it is noticed.
      this.#counts.failed += 1;
    } finally {
      this.#isBusy = false;
    }
  }

  /** Whether there is more to read. */
  async #step(): Promise<boolean> {
    this.#unsent ??= this.#next();
    const position = this.#position;
    const entries = await this.#log.exchange(position, this.#unsent === null ? [] : [this.#unsent]);
    if (this.#unsent !== null) this.#counts.sent += 1;
    this.#unsent = null;
    const last = entries.at(-1);
    // Read anew meanwhile.
    if (last !== undefined && this.#position === position) this.#position = last.position;
    for (const entry of entries) this.#take(entry);
    return entries.length >= READ_ENTRIES;
  }

  #next(): string | null {
    const news = this.#outbox.take();
    return news === null ? null : this.#parts.seal.seal(Buffer.from(JSON.stringify({ host: this.#host, ...news })));
  }

  #take({ text, agoMs }: LogEntry): void {
    const value = this.#opened(text);
    const news = asSessionNews(value);
    if (news === null || (value as { host?: unknown }).host === this.#host) return;
    this.#counts.received += 1;
    this.#outbox.knows(news);
    this.#parts.deliver({ ...news, touched: news.touched.map((touch) => ({ ...touch, agoMs })) });
  }

  /** Null for what none of our keys sealed. */
  #opened(text: string): unknown {
    const plain = this.#parts.seal.open(text, MAX_TEXT_CHARS);
    try {
      return plain === null ? null : JSON.parse(plain.toString());
    } catch {
      return null;
    }
  }
}
