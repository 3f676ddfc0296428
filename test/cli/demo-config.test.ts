import { afterEach, describe, expect, it } from 'vitest';
import { demoConfig } from '../../src/cli/demo-config.ts';
import type { CliIo } from '../../src/cli/io.ts';
import { systemClock } from '../../src/core/clock.ts';

const NODE = process.execPath;

function io(): CliIo {
  const { stdin, stdout, stderr } = process;
  return { cwd: '/', env: { HOME: '/home/x' }, clock: systemClock, stdin, stdout, stderr };
}

describe('demoConfig', () => {
  afterEach(() => {
    process.execPath = NODE;
  });

  it('takes the path of the program for a path, not for a template', () => {
    process.execPath = '/opt/${HOME}/$${x}/${unset}/node';
    const { snapshot } = demoConfig(io(), []).loaded;
    expect(snapshot.upstreams[0]?.stdio?.command).toBe('/opt/${HOME}/$${x}/${unset}/node');
  });
});
