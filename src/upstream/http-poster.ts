import type { Clock, Timer } from '../core/clock.ts';
import type { HttpClient, HttpControl, HttpReceiver, HttpRequest } from './http-client.ts';

/** Notifications and answers under way at once, per upstream. */
const MAX_POSTS = 64;
const MAX_DRAINED_BYTES = 64 * 1024;

/** Sends what has no JSON-RPC answer: notifications, answers to server requests, the DELETE of a session. */
export class HttpPoster {
  readonly #client: HttpClient;
  readonly #clock: Clock;
  readonly #maxPosts: number;
  #open = 0;

  constructor(client: HttpClient, clock: Clock, maxPosts: number = MAX_POSTS) {
    this.#client = client;
    this.#clock = clock;
    this.#maxPosts = maxPosts;
  }

  /**
   * False when too many are under way: nothing was sent. `done` gets the HTTP status, 0 when there was none in time; the
   * body is read and dropped. `mayRepeat`: the peer can take it twice, so it is sent once more, by a new connection, when a kept one
   * was closed without a byte of an answer (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1).
   */
  send(request: HttpRequest, timeoutMs: number, done: (status: number) => void, mayRepeat = false): boolean {
    if (this.#open >= this.#maxPosts) return false;
    const finish = (status: number): void => {
      this.#open -= 1;
      done(status);
    };
    const posting = new Posting(finish, mayRepeat ? () => this.#client.send({ ...request, isFresh: true }, posting) : null);
    // What cannot be written throws, and was never under way.
    const control = this.#client.send(request, posting);
    this.#open += 1;
    posting.begin(
      control,
      this.#clock.after(timeoutMs, () => posting.giveUp()),
    );
    return true;
  }
}

class Posting implements HttpReceiver {
  readonly #done: (status: number) => void;
  /** Null: not again. */
  #repeat: (() => HttpControl) | null;
  #control: HttpControl | null = null;
  #timer: Timer | null = null;
  #status = 0;
  #bodyBytes = 0;
  #isOver = false;

  constructor(done: (status: number) => void, repeat: (() => HttpControl) | null) {
    this.#done = done;
    this.#repeat = repeat;
  }

  begin(control: HttpControl, timer: Timer): void {
    this.#control = control;
    this.#timer = timer;
  }

  onHead(status: number): void {
    this.#status = status;
  }

  onData(chunk: Buffer): void {
    this.#bodyBytes += chunk.length;
    if (this.#bodyBytes > MAX_DRAINED_BYTES) this.giveUp();
  }

  onEnd(): void {
    this.#finish();
  }

  onError(_error: Error, _wasSent: boolean, isStale: boolean): void {
    const repeat = this.#repeat;
    this.#repeat = null;
    if (isStale && repeat !== null && !this.#isOver) this.#control = repeat();
    else this.#finish();
  }

  giveUp(): void {
    this.#control?.abort();
    this.#finish();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer?.cancel();
    this.#done(this.#status);
  }
}
