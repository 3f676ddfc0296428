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
   * body is read and dropped.
   */
  send(request: HttpRequest, timeoutMs: number, done: (status: number) => void): boolean {
    if (this.#open >= this.#maxPosts) return false;
    const posting = new Posting((status) => {
      this.#open -= 1;
      done(status);
    });
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
  #control: HttpControl | null = null;
  #timer: Timer | null = null;
  #status = 0;
  #bodyBytes = 0;
  #isOver = false;

  constructor(done: (status: number) => void) {
    this.#done = done;
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

  onError(): void {
    this.#finish();
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
