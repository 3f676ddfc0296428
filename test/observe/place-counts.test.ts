import { describe, expect, it } from 'vitest';
import { PlaceCounts } from '../../src/observe/place-counts.ts';

function valuesOf(counts: PlaceCounts): Record<string, unknown> {
  return Object.fromEntries(
    counts.families.map((family) => [family.name, family.get().values.map(({ labels, value }) => [Object.values(labels).join(), value])]),
  );
}

describe('PlaceCounts', () => {
  it('shows nothing of leases where a worker counts by itself', () => {
    const counts = new PlaceCounts();
    expect(Object.values(valuesOf(counts)).flat()).toEqual([]);
  });

  it('shows what a worker holds and asks for, and who waits at each server', () => {
    const counts = new PlaceCounts();
    counts.figures = () => ({ keys: 3, asks: 17, waiting: 2, timeouts: 1, unleased: 4 });
    counts.queued = () => [{ server: 'one', queued: 5 }];
    expect(valuesOf(counts)).toEqual({
      mcp_guard_upstream_queued: [['one', 5]],
      mcp_guard_places_keys: [['', 3]],
      mcp_guard_places_asks_total: [['', 17]],
      mcp_guard_places_waiting: [['', 2]],
      mcp_guard_places_timeouts_total: [['', 1]],
      mcp_guard_places_unleased_total: [['', 4]],
    });
  });
});
