import { describe, expect, it } from 'vitest';
import { errorsOf, load, snapshotOf } from './support.ts';

const AUTH = '[auth]\nallow_anonymous = true\n';
const isolated = (server: string, workers = 4): string =>
  `${AUTH}[server]\nworkers = ${workers}\n[upstream]\n${server}\nisolation = "session"\n`;

describe('checkIsolation', () => {
  it('takes sessions with a child or a connection of their own, with any number of workers', () => {
    for (const server of ['command = "x"', 'url = "wss://a.example/"']) {
      for (const workers of [0, 1, 4]) expect(snapshotOf(isolated(server, workers)).upstreams[0]?.hasOwnChannels).toBe(true);
    }
    expect(snapshotOf(`${AUTH}[upstream]\ncommand = "x"`).upstreams[0]?.hasOwnChannels).toBe(false);
  });

  it('refuses them where they mean nothing', () => {
    expect(errorsOf(load(isolated('url = "https://a.example/mcp"')))).toEqual([
      expect.stringContaining('upstream.isolation has no meaning with transport "http"'),
    ]);
  });
});
