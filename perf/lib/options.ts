import { parseArgs } from 'node:util';

export interface Options {
  /** Names of the scenarios to run; empty: all. */
  readonly scenarios: readonly string[];
  /** Null: as many as each scenario has by itself. */
  readonly rounds: number | null;
  readonly secs: number | null;
  /** A commit, branch or tag whose build is measured beside ours. */
  readonly against: string | null;
  /** Short rounds and generous budgets: shows that everything works, and catches what got much slower. */
  readonly isQuick: boolean;
  /** Writes the pictures of the documentation. */
  readonly arePicturesWanted: boolean;
  /** Requests, in millions, of the long-running memory scenario. */
  readonly soakMillions: number;
}

export const USAGE: string = `npm run perf -- [options]
  --scenario a,b   only these (--list names them)
  --rounds N       rounds per figure, instead of each scenario's own number
  --secs N         seconds per round
  --against REF    also builds that git ref and compares with it, interleaved
  --quick          short rounds, generous budgets
  --millions N     requests of the soak scenario, in millions (5)
  --pictures       writes the pictures of docs/perf
  --list           names the scenarios`;

/** Throws with a message for the terminal when the arguments make no sense. */
export function readOptions(args: readonly string[]): Options & { readonly isList: boolean } {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scenario: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string' },
      secs: { type: 'string' },
      against: { type: 'string' },
      millions: { type: 'string' },
      quick: { type: 'boolean', default: false },
      pictures: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
    },
  });
  return {
    scenarios: values.scenario.flatMap((text) => text.split(',')).filter((name) => name !== ''),
    rounds: positive('rounds', values.rounds),
    secs: positive('secs', values.secs),
    against: values.against ?? null,
    isQuick: values.quick,
    arePicturesWanted: values.pictures,
    soakMillions: positive('millions', values.millions) ?? 5,
    isList: values.list,
  };
}

function positive(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0\n${USAGE}`);
  return value;
}
