import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isAlive, until } from './support.ts';

const PARENT = join(import.meta.dirname, 'fixtures', 'parent.ts');

async function parent(ending: 'exit' | 'stay', childOptions: object): Promise<{ readonly pid: number; kill(): void }> {
  const process_ = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PARENT, ending, JSON.stringify(childOptions)]);
  const [line] = (await once(process_.stdout, 'data')) as [Buffer];
  return { pid: Number(line.toString()), kill: () => void process_.kill('SIGKILL') };
}

describe('StdioProcess', () => {
  it('does not outlive a gateway that exits without closing it, even when it ignores signals and its input', async () => {
    const { pid } = await parent('exit', { stubborn: true });
    expect(pid).toBeGreaterThan(0);
    await until(() => !isAlive(pid), 'the child ends');
  });

  it('sees the end of its input when the gateway is killed', async () => {
    const { pid, kill } = await parent('stay', {});
    expect(isAlive(pid)).toBe(true);
    kill();
    await until(() => !isAlive(pid), 'the child ends');
  });
});
