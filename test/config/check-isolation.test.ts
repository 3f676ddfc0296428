import { describe, expect, it } from 'vitest';
import { errorsOf, load, snapshotOf } from './support.ts';

const AUTH = '[auth]\nallow_anonymous = true\n';
const isolated = (server: string, workers = 'workers = 1'): string =>
  `${AUTH}[server]\n${workers}\n[upstream]\n${server}\nisolation = "session"\n`;

describe('checkIsolation', () => {
  it('takes sessions with a child or a connection of their own in a single worker', () => {
    for (const server of ['command = "x"', 'url = "wss://a.example/"']) {
      expect(snapshotOf(isolated(server)).upstreams[0]?.hasOwnChannels).toBe(true);
      expect(snapshotOf(isolated(server, 'workers = 0')).upstreams[0]?.hasOwnChannels).toBe(true);
    }
    expect(snapshotOf(`${AUTH}[upstream]\ncommand = "x"`).upstreams[0]?.hasOwnChannels).toBe(false);
  });

  it('refuses them where requests of a session could come to another worker, and where they mean nothing', () => {
    expect(errorsOf(load(isolated('command = "x"', 'workers = 2')))).toEqual([
      expect.stringContaining('upstream.isolation needs server.workers = 0 or 1 (there would be 2)'),
    ]);
    expect(errorsOf(load(isolated('url = "https://a.example/mcp"')))).toEqual([
      expect.stringContaining('upstream.isolation has no meaning with transport "http"'),
    ]);
  });
});
