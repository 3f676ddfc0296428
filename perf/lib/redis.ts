import type { Bench } from './bench.ts';
import { freePort, start, stop, until } from './process.ts';
import type { Program } from './process.ts';

/** A Redis of the scenario's own, that keeps nothing on disk. */
export interface Redis {
  readonly url: string;
  /** The process that runs now. */
  readonly program: () => Program;
  /** Stops it without ending it: connections stay, and nobody answers. */
  readonly hang: () => void;
  readonly resume: () => void;
  /** At once, as by a power cut. */
  readonly kill: () => Promise<void>;
  /** Starts it again where it was, empty. */
  readonly restart: () => Promise<void>;
}

/** Starts `redis-server` on a free port; ends with the scenario. */
export async function startRedis(bench: Bench): Promise<Redis> {
  const port = await freePort();
  let program = await launch(bench, port);
  return {
    url: `redis://127.0.0.1:${port}`,
    program: () => program,
    hang: () => void program.child.kill('SIGSTOP'),
    resume: () => void program.child.kill('SIGCONT'),
    kill: async () => {
      program.child.kill('SIGKILL');
      await stop(program);
    },
    restart: async () => void (program = await launch(bench, port)),
  };
}

async function launch(bench: Bench, port: number): Promise<Program> {
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--daemonize', 'no', '--dir', bench.dir];
  const program = bench.keep(start('redis', 'redis-server', args));
  await until(program, () => program.output().includes('Ready to accept connections'));
  return program;
}
