import { describe, expect, it } from 'vitest';
import { Breaker } from '../../src/limit/breaker.ts';
import { LeaseLine } from '../../src/limit/lease-line.ts';
import { type LeaseBatch, type LeaseReturn, REPORT_EVERY_MS } from '../../src/limit/lease-port.ts';
import { FakeClock } from '../upstream/fake-clock.ts';

const RETURNS: readonly LeaseReturn[] = [{ key: 'a', tokens: 1, have: 0, recall: 0 }];

/** Counts what is counted against the authority. */
class CountingBreaker extends Breaker {
  failures = 0;
  override failed(nowMs: number): void {
    this.failures += 1;
    super.failed(nowMs);
  }
}

/** Of an event loop that can stand still: timers come so much later. */
class StallingClock extends FakeClock {
  #stalledMs = 0;
  override nowMs(): number {
    return super.nowMs() + this.#stalledMs;
  }
  stall(ms: number): void {
    this.#stalledMs += ms;
  }
}

/** `turnMs`: what the work of a turn takes. */
function start(turnMs = 0): { line: LeaseLine; breaker: CountingBreaker; sent: LeaseBatch[]; clock: StallingClock } {
  const clock = new StallingClock();
  const breaker = new CountingBreaker();
  const sent: LeaseBatch[] = [];
  const port = { attach: () => undefined, afterTurn: () => undefined, send: (batch: LeaseBatch) => void sent.push(batch) };
  const nothing = (): void => undefined;
  const line = new LeaseLine(port, clock, breaker, () => clock.stall(turnMs), nothing, nothing);
  line.greet();
  line.answered(1, sent[0]?.sentMs ?? 0);
  return { line, breaker, sent, clock };
}

describe('LeaseLine', () => {
  it('counts a silent authority as one failure a turn, however soon another turn follows', () => {
    const { line, breaker, clock } = start();
    clock.advance(15);
    line.send(RETURNS, []);
    // The turn comes 235 ms after that batch, and another 15 ms later, because by then one is due.
    clock.advance(REPORT_EVERY_MS - 15);
    expect(breaker.failures).toBe(1);
    clock.advance(100);
    expect(breaker.failures).toBe(1);
    expect(breaker.isClosed).toBe(true);
  });

  it('takes it for lost after half a second, or a turn later, whenever its batch left', () => {
    for (let phaseMs = 0; phaseMs < REPORT_EVERY_MS; phaseMs += 10) {
      const { line, breaker, clock } = start();
      clock.advance(phaseMs);
      line.send(RETURNS, []);
      clock.advance(480);
      expect(breaker.isClosed).toBe(true);
      clock.advance(REPORT_EVERY_MS);
      expect(breaker.isClosed).toBe(false);
    }
  });

  it('does not judge the authority by what was not read yet in a loop that stood still, nor by a turn that follows soon after', () => {
    const { line, breaker, clock } = start();
    clock.advance(100);
    line.send(RETURNS, []);
    clock.advance(100);
    clock.stall(300);
    clock.advance(10);
    line.send(RETURNS, []);
    // The turn is 300 ms late, and the next comes 210 ms after it, when there is silence for 660 ms.
    clock.advance(40 + 210);
    expect([breaker.failures, breaker.isClosed]).toEqual([0, true]);
    clock.advance(REPORT_EVERY_MS);
    expect(breaker.isClosed).toBe(false);
  });

  it('judges it when every second turn is late', () => {
    const { line, breaker, clock } = start();
    line.send(RETURNS, []);
    clock.stall(20);
    clock.advance(REPORT_EVERY_MS);
    expect([breaker.failures, breaker.isClosed]).toEqual([0, true]);
    clock.advance(REPORT_EVERY_MS);
    expect(breaker.isClosed).toBe(false);
  });

  it('judges it when every second turn is late, however often others send', () => {
    const { line, breaker, clock } = start();
    // To a batch, by how much the turn after it is late, and from the batch to that turn.
    const turns = [
      [220, 20, 30],
      [190, 0, 10],
      [230, 20, 10],
      [210, 0, 10],
    ] as const;
    for (const [toBatchMs, stallMs, toTurnMs] of turns) {
      expect([breaker.failures, breaker.isClosed]).toEqual([0, true]);
      clock.advance(toBatchMs);
      line.send(RETURNS, []);
      clock.stall(stallMs);
      clock.advance(toTurnMs);
    }
    expect(breaker.isClosed).toBe(false);
  });

  it('judges it when turns themselves take a while', () => {
    const { line, breaker, clock } = start(15);
    line.send(RETURNS, []);
    clock.advance(3 * REPORT_EVERY_MS);
    expect(breaker.isClosed).toBe(false);
  });

  it('sends without delay what became due while a turn was at work', () => {
    const { line, sent, clock } = start(15);
    clock.advance(11);
    line.send(RETURNS, []);
    clock.advance(REPORT_EVERY_MS);
    expect(sent.map(({ sentMs }) => sentMs - (sent[0]?.sentMs ?? 0))).toEqual([0, 11, 280]);
  });

  it('takes an authority for lost that accepts connections and answers nothing', () => {
    const { line, breaker, clock } = start();
    for (let ms = 0; ms < 3 * REPORT_EVERY_MS; ms += 50) {
      clock.advance(50);
      line.disconnected();
    }
    expect(breaker.isClosed).toBe(false);
  });

  it('goes on asking one that answers after a quarter of a second, however often', () => {
    const { line, breaker, sent, clock } = start();
    for (let turn = 0; turn < 20; turn++) {
      clock.advance(REPORT_EVERY_MS - 18);
      line.send(RETURNS, []);
      // The turn comes 9 ms later, 241 after the one before. The batch before that turn is answered behind it.
      clock.advance(9);
      line.answered(turn + 2, sent.at(-2)?.sentMs ?? 0);
    }
    expect(breaker.failures).toBeGreaterThan(5);
    expect(breaker.isClosed).toBe(true);
  });

  it.each([
    { what: 'from the batch after the one that is answered', firstMs: 10, secondMs: 10, answered: 1, waitMs: 2 * REPORT_EVERY_MS },
    {
      what: 'from the first batch, if only an earlier one is answered again',
      firstMs: 1,
      secondMs: 244,
      answered: 0,
      waitMs: REPORT_EVERY_MS,
    },
  ])('measures silence $what', ({ firstMs, secondMs, answered, waitMs }) => {
    const { line, breaker, sent, clock } = start();
    for (const afterMs of [firstMs, secondMs]) {
      clock.advance(afterMs);
      line.send(RETURNS, []);
    }
    line.answered(2, sent[answered]?.sentMs ?? 0);
    clock.advance(waitMs);
    expect(breaker.isClosed).toBe(false);
  });

  it('says nothing more once it is closed', () => {
    const { line, breaker, sent, clock } = start();
    line.send(RETURNS, []);
    line.close();
    const before = sent.length;
    clock.advance(4 * REPORT_EVERY_MS);
    expect([sent.length, breaker.failures]).toEqual([before, 0]);
  });
});
