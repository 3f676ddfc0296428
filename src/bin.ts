#!/usr/bin/env node
/**
 * The `mcp-guard` executable. It must load on any Node from 20 on, so it imports nothing but Node's own modules: the
 * native listener is built for Node 22, which the package carries, and another Node hands over to that one.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FORWARDED: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];

function isSuitable(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major === 22 && minor >= 18;
}

/** `node_modules/node/bin/node` as this package sees it; null when npm was not allowed to put it there. */
function carriedNode(): string | null {
  try {
    const manifest = createRequire(import.meta.url).resolve('node/package.json');
    const path = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    return existsSync(path) ? path : null;
  } catch {
    return null;
  }
}

function fail(message: string): void {
  process.stderr.write(`mcp-guard: ${message}\n`);
  process.exitCode = 1;
}

/** Dies as the other did, so that a shell or supervisor sees the same end. */
function endLike(code: number | null, signal: NodeJS.Signals | null): void {
  if (signal === null) {
    process.exitCode = code ?? 1;
    return;
  }
  process.exitCode = 128 + constants.signals[signal];
  process.kill(process.pid, signal);
}

/** At a terminal Ctrl-C reaches both processes by itself; passing it on would count as the second one, which forces the end. */
function onInterrupt(forward: () => void): void {
  if (process.stdin.isTTY !== true) forward();
}

function handOver(node: string): void {
  const main = fileURLToPath(new URL('./main.js', import.meta.url));
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' });
  const listeners = new Map<NodeJS.Signals, () => void>(FORWARDED.map((signal) => [signal, () => void child.kill(signal)]));
  listeners.set('SIGINT', () => onInterrupt(() => child.kill('SIGINT')));
  for (const [signal, listener] of listeners) process.on(signal, listener);
  const release = (): void => {
    for (const [signal, listener] of listeners) process.off(signal, listener);
  };
  child.once('error', (error) => {
    release();
    fail(`cannot start ${node}: ${error.message}`);
  });
  child.once('exit', (code, signal) => {
    release();
    endLike(code, signal);
  });
}

const carried = isSuitable(process.versions.node) ? null : carriedNode();
if (isSuitable(process.versions.node)) {
  await import('./main.ts');
} else if (carried !== null) {
  handOver(carried);
} else {
  fail(
    `needs Node 22.18 or a later 22, this is ${process.versions.node}, and the one that the package carries is not installed: ` +
      'allow its install script with `npm install-scripts approve node`, then run `npm rebuild node --ignore-scripts=false`',
  );
}
