import type { PoolSettings } from '../core/config.ts';
import type { Places } from '../core/limit.ts';
import type { UpstreamEvents } from '../core/upstream.ts';
import type { UpstreamDeps } from './deps.ts';
import { KeyedSeats, type KeyedSeatsOptions, type Seats, seatsOf, SharedSeats } from './pool-seats.ts';
import type { RelayDesk } from './relay-desk.ts';

/** What a pool needs beside what every upstream does. */
export interface PooledDeps extends UpstreamDeps {
  readonly places: Places;
  /** Null: this event loop is the only one. */
  readonly desk: RelayDesk | null;
  /** Number of this worker, and how many there are. */
  readonly worker: number;
  readonly workers: number;
  /** The server's place in the configuration. */
  readonly index: number;
  /** Workers that have a seat of a shared pool. */
  readonly seatHolders: readonly number[];
}

/** The workers that have a seat of a shared pool. */
export function seatHoldersOf(index: number, max: number, workers: number): number[] {
  return Array.from({ length: workers }, (_, slot) => slot).filter((slot) => seatsOf(index, max, slot, workers).length > 0);
}

/** The seats that this worker may fill. */
export function seatsFor(
  server: string,
  pool: PoolSettings,
  { places, clock, worker, workers, index }: PooledDeps,
  events: Pick<KeyedSeatsOptions, 'onSeat' | 'onShortage'>,
): Seats {
  if (pool.isolation === 'shared') return new SharedSeats(seatsOf(index, pool.max, worker, workers), pool);
  return new KeyedSeats({ server, max: pool.max, places, clock, isFirst: index % workers === worker, ...events });
}

/** What a child reports of itself, all but its state. */
export function eventsOfChild(events: UpstreamEvents): Omit<UpstreamEvents, 'stateChanged'> {
  return {
    stderrLine: (server, line) => events.stderrLine(server, line),
    noise: (server, kind) => events.noise(server, kind),
    restarted: (server, attempt) => events.restarted(server, attempt),
    listChanged: (server, kind) => events.listChanged(server, kind),
    leftOut: () => undefined,
    childrenChanged: (server) => events.childrenChanged(server),
    circuitChanged: () => undefined,
  };
}

/** The same events, but for changed lists. */
export function eventsWith(events: UpstreamEvents, listChanged: UpstreamEvents['listChanged']): UpstreamEvents {
  return {
    stateChanged: (upstream) => events.stateChanged(upstream),
    stderrLine: (server, line) => events.stderrLine(server, line),
    noise: (server, kind) => events.noise(server, kind),
    restarted: (server, attempt) => events.restarted(server, attempt),
    listChanged,
    leftOut: () => undefined,
    childrenChanged: (server) => events.childrenChanged(server),
    circuitChanged: (upstream) => events.circuitChanged(upstream),
  };
}
