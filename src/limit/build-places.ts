import type { Clock } from '../core/clock.ts';
import type { BreakerSettings, RateLimitSettings, UpstreamSettings } from '../core/config.ts';
import type { InFlightLimiter, PlaceFigures, Places } from '../core/limit.ts';
import type { PlaceToPrimary, PlaceToWorker } from '../core/place-messages.ts';
import type { Circuit } from '../core/upstream.ts';
import { CircuitAuthority } from './circuit-authority.ts';
import { InFlightLimit } from './inflight.ts';
import { LocalCircuit } from './local-circuit.ts';
import { PlaceAuthority } from './place-authority.ts';
import { PlaceLease } from './place-lease.ts';
import type { PlacePort } from './place-port.ts';
import { PlaceTable } from './place-table.ts';
import { SharedCircuit } from './shared-circuit.ts';
import { unlimitedInFlight } from './unlimited-in-flight.ts';

export interface PlacesDeps {
  readonly clock: Clock;
  readonly workers: number;
  /** Null: this event loop is the only one. */
  readonly port: PlacePort | null;
}

/** What a worker has of the limits on requests in progress. */
export interface WorkerPlaces {
  readonly places: Places;
  readonly inFlight: InFlightLimiter;
  circuit(server: string, settings: BreakerSettings): Circuit;
  /** Null without an authority. */
  figures(): PlaceFigures | null;
  close(): void;
}

/** Of one worker: counted here when it is the only one, leased from the primary otherwise. */
export function buildPlaces(settings: RateLimitSettings, deps: PlacesDeps): WorkerPlaces {
  return deps.port === null ? localPlaces(settings, deps.clock) : leasedPlaces(settings, deps, deps.port);
}

function localPlaces(settings: RateLimitSettings, clock: Clock): WorkerPlaces {
  const places = new PlaceTable();
  return {
    places,
    inFlight: inFlightOf(settings, places),
    circuit: (_server, breaker) => new LocalCircuit(breaker, clock),
    figures: () => null,
    close: () => places.close(),
  };
}

function leasedPlaces(settings: RateLimitSettings, { clock, workers }: PlacesDeps, port: PlacePort): WorkerPlaces {
  const { maxIdentities: maxKeys, idleTtlMs: idleMs } = settings;
  const { failMode } = settings.default;
  const lease = new PlaceLease({ clock, workers, maxKeys, idleMs, failMode, send: (message) => port.send(message) });
  const circuits = new Map<string, SharedCircuit>();
  port.receive = (message) => {
    if (message.type === 'granted' || message.type === 'recall') lease.receive(message);
    else circuits.get(message.server)?.receive(message);
  };
  return {
    places: lease,
    inFlight: inFlightOf(settings, lease),
    circuit: (server) => {
      const circuit = new SharedCircuit({ clock, send: (what) => port.send({ type: 'circuit', server, what }) });
      circuits.set(server, circuit);
      return circuit;
    },
    figures: () => lease.figures(),
    close: () => lease.close(),
  };
}

/** With limits off there is none per principal: what an upstream takes at once bounds them then. */
function inFlightOf(settings: RateLimitSettings, places: Places): InFlightLimiter {
  return settings.isEnabled ? new InFlightLimit(settings.maxInFlight, places) : unlimitedInFlight;
}

export interface PlaceHostDeps {
  readonly clock: Clock;
  readonly send: (slot: number, message: PlaceToWorker) => void;
  /** To every worker there is. */
  readonly broadcast: (message: PlaceToWorker) => void;
}

/** What the primary keeps for its workers: places and circuits. */
export interface PlaceHost {
  receive(slot: number, message: PlaceToPrimary): void;
  /** The worker in this slot has ended. */
  lost(slot: number): void;
  /** Keys with places in use. */
  readonly size: number;
  close(): void;
}

export function buildPlaceHost(
  settings: { readonly rateLimit: RateLimitSettings; readonly upstreams: readonly UpstreamSettings[] },
  deps: PlaceHostDeps,
): PlaceHost {
  const maxKeys = settings.rateLimit.maxIdentities + settings.upstreams.length;
  const places = new PlaceAuthority({ clock: deps.clock, send: deps.send, maxKeys });
  const breakers = settings.upstreams.flatMap(({ name, breaker }) => (breaker === null ? [] : ([[name, breaker]] as const)));
  const circuits = new CircuitAuthority(new Map(breakers), deps);
  return {
    receive: (slot, message) => {
      if (message.type === 'circuit') circuits.receive(slot, message.server, message.what);
      else places.receive(slot, message);
    },
    lost: (slot) => {
      places.lost(slot);
      circuits.lost(slot);
    },
    get size() {
      return places.size;
    },
    close: () => places.close(),
  };
}
