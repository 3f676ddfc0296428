import type { Clock } from '../core/clock.ts';
import type { AddressCount } from './address-count.ts';
import type { LoopQueue } from './loop-queue.ts';
import type { ListenerSettings } from './settings.ts';

/** What the exchanges and connections of one µWS listener share. */
export interface UwsContext {
  readonly settings: ListenerSettings;
  readonly clock: Clock;
  readonly queue: LoopQueue;
  readonly addresses: AddressCount;
  /** Counts every socket that closed: a change across a call means that the call closed its socket. */
  closedSockets: number;
  isStopping: boolean;
  /** Reports a programmer error. */
  failed(error: unknown): void;
  /** Runs a step whose throw would end the process. */
  guarded(step: () => void): void;
}
