import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureServices, missingServices, SERVICES } from './services.mjs';
import type { Where } from './services.mjs';

let folder = '';
let bin = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mcp-guard-services-'));
  bin = join(folder, 'bin');
  mkdirSync(bin);
});

afterEach(() => rmSync(folder, { recursive: true }));

/** A search path on which these commands stand, and nothing else but a shell for the ones we write. */
function provide(...commands: string[]): void {
  for (const command of commands) symlinkSync('/bin/true', join(bin, command));
}

/** An `apt-get` that notes its arguments, and whether the policy file stood there; `then` is what it does beside that. */
function provideApt(then: string): void {
  const note = `echo "$@ policy=$(/bin/cat ${join(folder, 'policy')} 2>/dev/null | /usr/bin/tail -n 1)" >> ${join(folder, 'apt.log')}`;
  writeFileSync(join(bin, 'apt-get'), `#!/bin/sh\n${note}\n${then}\n`, { mode: 0o755 });
}

function where(isRoot: boolean): Where {
  return { path: bin, isRoot, policyFile: join(folder, 'policy') };
}

function aptLog(): string[] {
  const file = join(folder, 'apt.log');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
}

const ALL = SERVICES.map(({ command }) => command);

describe('the services that tests need', () => {
  it('are on this machine when tests run', () => {
    expect(missingServices(process.env['PATH'] ?? '')).toEqual([]);
  });

  it('are left alone when they are there', () => {
    provide(...ALL);
    provideApt('exit 1');
    expect(ensureServices(where(true))).toBeNull();
    expect(aptLog()).toEqual([]);
  });

  it('are asked for with the exact line when this is not root', () => {
    provide(...ALL.filter((command) => command !== 'nginx' && command !== 'haproxy'));
    provideApt('exit 0');
    const problem = ensureServices(where(false));
    expect(problem).toContain('sudo apt-get update && sudo apt-get install --no-install-recommends -y nginx-light haproxy\n');
    expect(aptLog()).toEqual([]);
  });

  it('are installed by root, without being started, and the policy file goes again', () => {
    provide(...ALL.filter((command) => command !== 'nginx'));
    provideApt(`/bin/ln -s /bin/true ${join(bin, 'nginx')}`);
    expect(ensureServices(where(true))).toBeNull();
    expect(aptLog()).toEqual(['install --no-install-recommends -y nginx-light policy=exit 101']);
    expect(existsSync(join(folder, 'policy'))).toBe(false);
  });

  it('are installed after an update where the package lists are empty', () => {
    provide(...ALL.filter((command) => command !== 'haproxy'));
    const installs = `/bin/ln -s /bin/true ${join(bin, 'haproxy')}`;
    provideApt(
      `if [ "$1" = update ]; then : > ${join(folder, 'lists')}; elif [ -e ${join(folder, 'lists')} ]; then ${installs}; else exit 100; fi`,
    );
    expect(ensureServices(where(true))).toBeNull();
    expect(aptLog().map((line) => line.split(' ')[0])).toEqual(['install', 'update', 'install']);
  });

  it('keep the policy file of a machine that has one', () => {
    writeFileSync(join(folder, 'policy'), '#!/bin/sh\nexit 101\n');
    provide(...ALL.filter((command) => command !== 'curl'));
    provideApt(`/bin/ln -s /bin/true ${join(bin, 'curl')}`);
    expect(ensureServices(where(true))).toBeNull();
    expect(existsSync(join(folder, 'policy'))).toBe(true);
  });

  it('are a failure with instructions when installing fails', () => {
    provide(...ALL.filter((command) => command !== 'ps'));
    provideApt('exit 100');
    expect(ensureServices(where(true))).toContain('procps');
    expect(existsSync(join(folder, 'policy'))).toBe(false);
  });

  it('make the command exit 1 where they cannot be had', () => {
    const script = join(import.meta.dirname, 'services.mjs');
    const run = spawnSync(process.execPath, [script], { env: { PATH: bin, CI: 'true' }, encoding: 'utf8' });
    expect(run.status).toBe(1);
    expect(run.stderr).toContain(
      'apt-get install --no-install-recommends -y nginx-light haproxy openssl curl procps wrk luajit redis-server redis-tools',
    );
  });
});
