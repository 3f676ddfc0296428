import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { McpSseServer } from '../upstream/sse-server.ts';
import { McpWebSocketServer } from '../upstream/websocket-server.ts';
import { isAlive, readRecord, runCli, startHttpUpstream, stdioUpstream, tempDir, waitUntil, type CliResult } from '../e2e/harness.ts';

async function checkUpstream(upstream: unknown, args: readonly string[] = []): Promise<CliResult> {
  const cwd = await tempDir();
  await writeFile(join(cwd, 'c.json'), JSON.stringify({ auth: { allow_anonymous: true }, upstream }));
  return await runCli(['check-upstream', '-c', 'c.json', ...args], { cwd });
}

describe('mcp-guard check-upstream', () => {
  it('row 19: prints name and version of a stdio server, exits 0 and leaves no child', async () => {
    const recordFile = join(await tempDir(), 'record');
    const { code, stdout } = await checkUpstream(stdioUpstream({ name: 'my-server', recordFile }));
    expect(code).toBe(0);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(stdout).toContain('my-server');
    expect(stdout).toContain('0.9.0');
    const { pids } = await readRecord(recordFile);
    expect(pids).toHaveLength(1);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  it('row 19: a missing command exits 1 and is named', async () => {
    const { code, stdout, stderr } = await checkUpstream({ transport: 'stdio', command: 'no-such-program-here' });
    expect(code).toBe(1);
    expect(stdout + stderr).toContain('no-such-program-here');
  });

  it('row 19: a server that hangs exits 1 within the timeout and a second, and is gone, however stubborn', async () => {
    const recordFile = join(await tempDir(), 'record');
    const begin = performance.now();
    const { code, stdout } = await checkUpstream(stdioUpstream({ silent: 'initialize', recordFile, isStubborn: true }), ['--timeout', '1']);
    expect(performance.now() - begin).toBeLessThan(1000 + 1000 + 1500);
    expect(code).toBe(1);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    const { pids } = await readRecord(recordFile);
    expect(pids).toHaveLength(1);
    await waitUntil(() => !pids.some(isAlive), { what: 'the child is gone', timeoutMs: 2000 });
  });

  it('row 20: an HTTP server is asked for a real initialize: 200 with MCP exits 0', async () => {
    const http = await startHttpUpstream();
    const { code, stdout } = await checkUpstream({ transport: 'http', url: http.url, allow_private_networks: true });
    expect(code).toBe(0);
    expect(stdout).toContain('echo-upstream 1.2.3');
    expect(http.of('initialize')).toHaveLength(1);
  });

  it.each([
    ['404', { status: 404, body: 'not here' }],
    ['500', { status: 500, body: '' }],
    ['200 that is no MCP', { status: 200, body: 'welcome', headers: { 'content-type': 'text/html' } }],
    ['a dropped connection', { isDropped: true }],
  ])('row 20: an HTTP server that answers %s exits 1', async (_what, answer) => {
    const http = await startHttpUpstream({ answer: () => answer });
    const { code, stdout } = await checkUpstream({ transport: 'http', url: http.url, allow_private_networks: true }, ['--timeout', '2']);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^default \(http\): FAILED: .+\n$/);
  });

  it('row 20: a server over HTTP+SSE is asked for a real initialize, and one whose stream is none exits 1', async () => {
    const server = await new McpSseServer().listen();
    const broken = await new McpSseServer({ open: (response) => response.writeHead(500).end() }).listen();
    const at = (url: string): object => ({ transport: 'sse', url, allow_private_networks: true });
    const good = await checkUpstream(at(server.url));
    expect([good.code, good.stdout]).toEqual([0, 'default (sse): ok, fixture 1.2.3, protocol 2025-06-18\n']);
    expect(server.received.map(({ method }) => method).slice(0, 1)).toEqual(['initialize']);
    expect(server.streams.size).toBe(0);
    const bad = await checkUpstream(at(broken.url), ['--timeout', '5']);
    expect([bad.code, bad.stdout]).toEqual([1, 'default (sse): FAILED: answered HTTP 500 instead of an event stream\n']);
    await Promise.all([server.stop(), broken.stop()]);
  });

  it('a WebSocket server is asked for a real initialize, and one that is none is named', async () => {
    const server = await new McpWebSocketServer().listen();
    const http = await startHttpUpstream();
    const good = { name: 'a', url: server.url, allow_private_networks: true };
    const bad = { name: 'b', url: http.url.replace('http:', 'ws:'), allow_private_networks: true };
    const { code, stdout } = await checkUpstream({ servers: [good, bad] }, ['--timeout', '5']);
    await server.stop();
    const lines = stdout.trimEnd().split('\n');
    expect([code, lines[0]]).toEqual([1, 'a (websocket): ok, fixture 1.2.3, protocol 2025-06-18']);
    expect(lines[1]).toMatch(/^b \(websocket\): FAILED: .*instead of a WebSocket/);
  });

  it('a name that carries escape sequences reaches the terminal without them', async () => {
    const { code, stdout } = await checkUpstream(stdioUpstream({ name: 'a\u001b[2Jb\u202ec' }));
    expect(code).toBe(0);
    expect(stdout).toContain('a?[2Jb?c');
  });

  it('row 21: several servers are one line each, and one failure makes exit 1', async () => {
    const http = await startHttpUpstream();
    const good = { name: 'a', ...stdioUpstream({ name: 'server-a' }) };
    const remote = { name: 'b', transport: 'http', url: http.url, allow_private_networks: true };
    const all = await checkUpstream({ servers: [good, remote] });
    expect(all.code).toBe(0);
    expect(all.stdout.trimEnd().split('\n')).toHaveLength(2);
    expect(all.stdout).toContain('server-a');
    expect(all.stdout).toContain('echo-upstream');
    const some = await checkUpstream({ servers: [good, { name: 'c', transport: 'stdio', command: 'no-such-program-here' }, remote] });
    expect(some.code).toBe(1);
    const lines = some.stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toContain('server-a');
    expect(lines[1]).toContain('no-such-program-here');
    expect(lines[2]).toContain('echo-upstream');
  });
});
