import { describe, expect, it } from 'vitest';
import type { ToWorker } from '../../src/core/messages.ts';
import { Collector } from '../../src/process/collector.ts';

function fakeWorkers(slots: number[]) {
  const asked: { slot: number; ticket: number }[] = [];
  return {
    asked,
    living: () => slots,
    send: (slot: number, message: ToWorker) => {
      if (message.type === 'collect') asked.push({ slot, ticket: message.ticket });
    },
  };
}

function collectorOf(workers: ReturnType<typeof fakeWorkers>): Collector<readonly unknown[]> {
  return new Collector(workers, (ticket) => ({ type: 'collect', ticket }));
}

describe('Collector', () => {
  it('waits for every living worker', async () => {
    const workers = fakeWorkers([0, 1]);
    const collector = collectorOf(workers);
    const round = collector.collect();
    for (const { slot, ticket } of workers.asked) collector.receive(slot, ticket, [slot]);
    expect(await round).toEqual([[0], [1]]);
  });

  it('asks once for scrapes that come together, and anew for later ones', async () => {
    const workers = fakeWorkers([0]);
    const collector = collectorOf(workers);
    const both = [collector.collect(), collector.collect()];
    expect(workers.asked).toHaveLength(1);
    collector.receive(0, workers.asked[0]?.ticket ?? -1, ['first']);
    expect(await Promise.all(both)).toEqual([[['first']], [['first']]]);
    const later = collector.collect();
    collector.receive(0, workers.asked[1]?.ticket ?? -1, ['second']);
    expect(await later).toEqual([['second']]);
  });

  it('goes on without a worker that died, and ignores answers of an earlier round', async () => {
    const workers = fakeWorkers([0, 1]);
    const collector = collectorOf(workers);
    const round = collector.collect();
    collector.receive(0, 999, ['stale']);
    collector.receive(0, workers.asked[0]?.ticket ?? -1, ['fresh']);
    collector.forget(1);
    expect(await round).toEqual([['fresh']]);
  });

  it('answers at once when no worker is alive', async () => {
    expect(await collectorOf(fakeWorkers([])).collect()).toEqual([]);
  });

  it('asks anew after a round without workers', async () => {
    const slots: number[] = [];
    const workers = fakeWorkers(slots);
    const collector = collectorOf(workers);
    await collector.collect();
    slots.push(0);
    const round = collector.collect();
    collector.receive(0, workers.asked[0]?.ticket ?? -1, ['there']);
    expect(await round).toEqual([['there']]);
  });
});
