import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { groupMemory } from '../../src/upstream/group-memory.ts';

it('adds up what a child and all it started hold, and nobody else', async () => {
  const script =
    'require("child_process").spawn(process.execPath, ["-e", "setTimeout(() => 0, 60000)"]); setTimeout(() => 0, 60000); console.log(1)';
  const child = spawn(process.execPath, ['-e', script], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  const pid = child.pid ?? 0;
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const sizes = await groupMemory([pid, 999_999_999]);
    expect([...sizes.keys()]).toEqual([pid]);
    expect(sizes.get(pid)).toBeGreaterThan(20 * 1_048_576);
    expect(await groupMemory([])).toEqual(new Map());
  } finally {
    process.kill(-pid, 'SIGKILL');
  }
});
