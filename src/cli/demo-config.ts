import { generateKey, hashKey } from '../auth/keys.ts';
import type { Override } from '../config/environment.ts';
import { escapeReferences } from '../config/interpolate.ts';
import { loadConfigText } from '../config/load.ts';
import type { ConfigSnapshot } from '../core/config.ts';
import { verifySnapshot } from '../pipeline/verify.ts';
import { listenUrl } from './banner.ts';
import type { CliIo } from './io.ts';
import { accept, type Loaded } from './load.ts';
import { demoServerCommand } from './self.ts';

const SOURCE = 'built-in demo';

/** A configuration that exists in memory only, with what to tell about it once it listens. */
export interface DemoConfig {
  readonly loaded: Loaded;
  lines(snapshot: ConfigSnapshot, port: number): readonly string[];
}

function configText(keyHash: string, adminHash: string): string {
  const keys = [
    { id: 'demo', key_hash: keyHash, allowed_tools: ['*'] },
    { id: 'demo-admin', key_hash: adminHash, allowed_tools: ['*'], roles: ['admin'] },
  ];
  const { command, args } = demoServerCommand();
  return JSON.stringify({
    auth: { api_keys: keys },
    policy: { tools: { deny: ['delete_file'] } },
    audit: { enabled: false },
    upstream: { name: 'demo', transport: 'stdio', command: escapeReferences(command), args: args.map(escapeReferences) },
  });
}

/** A call that works when pasted into a shell. */
function curlLine(url: string, key: string): string {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { message: 'hello' } } });
  const headers = [`Authorization: Bearer ${key}`, 'Content-Type: application/json', 'Accept: application/json, text/event-stream'];
  const insecure = url.startsWith('https:') ? ' -k' : '';
  return `curl${insecure} ${url}/mcp ${headers.map((header) => `-H '${header}'`).join(' ')} -d '${body}'`;
}

/** `run --demo`: the demo server behind two keys that are made now, told once, and gone when the process ends. */
export function demoConfig(io: CliIo, overrides: readonly Override[]): DemoConfig {
  const key = generateKey();
  const adminKey = generateKey();
  const text = configText(hashKey(key), hashKey(adminKey));
  const { cwd, env, clock } = io;
  const result = loadConfigText({ text, format: 'json', source: SOURCE, baseDir: cwd, env, overrides, verify: verifySnapshot, clock });
  return {
    loaded: accept(result, SOURCE),
    lines: (snapshot, port) => [
      '',
      `  key        ${key}`,
      `  admin key  ${adminKey}`,
      '  Both were made for this run: they are kept in memory only and end with it. No file is written; the audit trail is off.',
      '',
      'Try it:',
      '',
      `  ${curlLine(listenUrl(snapshot, port), key)}`,
      '',
    ],
  };
}
