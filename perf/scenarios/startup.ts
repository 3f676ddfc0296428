import { interleave } from '../lib/bench.ts';
import { httpUpstream, launchGateway, stdioUpstream } from '../lib/gateway.ts';
import { stop } from '../lib/process.ts';
import type { Scenario } from '../lib/scenario.ts';
import { DEMO_SERVER } from '../lib/stdio-servers.ts';
import { startUpstream } from '../lib/upstream.ts';

const ASK_MS = 5;

export const scenario: Scenario = {
  name: 'startup',
  shows:
    'From the start of `mcp-guard run` to the first 200 of `/ready`: in front of an HTTP server that is up, and of a stdio server to be started.',
  async run(bench) {
    const overHttp = httpUpstream((await startUpstream(bench)).url);
    const kinds = [
      { name: 'gateway', upstream: overHttp },
      { name: 'gateway, stdio', upstream: stdioUpstream(DEMO_SERVER) },
    ];
    const starts = bench.settings.builds.flatMap((build) => kinds.map((kind) => ({ build, kind })));
    const rounds = bench.rounds(5);
    await interleave(rounds, starts, async ({ build, kind }, round) => {
      const { target, readyMs } = await launchGateway(bench, build, kind);
      const figures = { readyMs: await readyMs(ASK_MS) };
      bench.record(target.name, figures);
      bench.say(`round ${round + 1} of ${rounds}: ${target.name} ready after ${Math.round(figures.readyMs)} ms`);
      await stop(target.program);
    });
  },
};
