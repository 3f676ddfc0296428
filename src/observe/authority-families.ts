import type { AuthorityStatus } from '../core/fleet.ts';
import type { LimitMode } from '../core/limit.ts';
import { type Collected, ReadFamily, type Sample } from './families.ts';

/** The authority of all workers' limits as the primary counts it. */
export interface AuthorityFigures {
  readonly authority: AuthorityStatus;
  /** Workers whose threads are connected. */
  readonly connected: number;
  /** Connections that were cut: nobody's, not our language, or not read from. */
  readonly faults: number;
}

const MODES: readonly LimitMode[] = ['remote', 'local', 'closed', 'open'];

/** Absent where no worker has to ask anybody. */
export function authorityFamilies(figures: () => AuthorityFigures | null): Collected[] {
  const family = (
    type: 'counter' | 'gauge',
    name: string,
    help: string,
    read: (figures: AuthorityFigures) => number | readonly Sample[],
  ): Collected =>
    new ReadFamily({ name: `mcp_guard_rate_limit_authority_${name}`, help, type, aggregator: 'max' }, () => {
      const now = figures();
      return now === null ? [] : read(now);
    });
  return [
    family('gauge', 'mode', 'How the authority of all limits decides now.', ({ authority }) =>
      MODES.map((mode) => ({ labels: { mode }, value: mode === authority.mode ? 1 : 0 })),
    ),
    family('gauge', 'keys', 'Budgets that the authority keeps.', ({ authority }) => authority.size),
    family('counter', 'asks_total', 'Asks for tokens that the authority decided.', ({ authority }) => authority.asks),
    family('counter', 'denials_total', 'Asks that were granted nothing.', ({ authority }) => authority.denials),
    family('counter', 'recalls_total', 'Workers that were asked to give back what others lacked.', ({ authority }) => authority.recalls),
    family('counter', 'tokens_total', 'Tokens that were granted.', ({ authority }) => authority.tokens),
    family('gauge', 'connections', 'Workers that are connected to the authority.', ({ connected }) => connected),
    family('counter', 'connection_faults_total', 'Connections to the authority that were cut.', ({ faults }) => faults),
  ];
}
