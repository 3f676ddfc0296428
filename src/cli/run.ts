import type { Override } from '../config/environment.ts';
import { StartError } from '../process/ports.ts';
import { runGateway } from '../process/run.ts';
import { bannerLines } from './banner.ts';
import { demoConfig, type DemoConfig } from './demo-config.ts';
import { CliError, type CliIo, type Globals } from './io.ts';
import { loadSnapshot, type Loaded } from './load.ts';

export interface RunFlags {
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly isDemo: boolean;
}

function overridesOf({ host, port }: RunFlags): readonly Override[] {
  return [
    ...(host === undefined ? [] : [{ path: 'server.host', value: host }]),
    ...(port === undefined ? [] : [{ path: 'server.port', value: port }]),
  ];
}

/** Resolves with the exit code when the gateway has ended. */
async function start({ snapshot, warnings }: Loaded, verbosity: number, demo: DemoConfig | null): Promise<number> {
  const banner = (port: number, adminPort: number): readonly string[] => [
    ...bannerLines(snapshot, port, adminPort),
    ...(demo === null ? [] : demo.lines(snapshot, port)),
  ];
  try {
    return await runGateway({ snapshot, warnings, verbosity, banner });
  } catch (error) {
    if (error instanceof StartError) throw new CliError(error.message, { cause: error });
    throw error;
  }
}

/** `run`: the gateway, until a signal ends it. */
export async function run(io: CliIo, globals: Globals, flags: RunFlags): Promise<number> {
  const overrides = overridesOf(flags);
  if (!flags.isDemo) return await start(loadSnapshot(io, globals.config, overrides), globals.verbosity, null);
  const demo = demoConfig(io, overrides);
  return await start(demo.loaded, globals.verbosity, demo);
}
