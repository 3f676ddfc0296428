import { describe, expect, it } from 'vitest';
import { start, stop, until } from '../../perf/lib/process.ts';
import { childrenCpuUs, exactCpuUs, ownCpuUs, ownRssMb, usageOf } from '../../perf/lib/usage.ts';

/** Uses so much processor time, however busy the machine is. */
const burn = (ms: number): string => `for (const from = process.cpuUsage(); process.cpuUsage(from).user < ${ms * 1_000}; );`;
const PARENT = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(`${burn(400)} console.log('burnt'); setInterval(() => {}, 1000)`)}, 'a-child'], { stdio: 'inherit' }); ${burn(100)} setInterval(() => {}, 1000);`;

describe('the usage of a program', () => {
  it('keeps its own processes apart from the servers that it started, and forgets nobody', async () => {
    const program = start('burner', process.execPath, ['-e', PARENT], { isOwn: (command) => !command.includes('a-child') });
    await until(program, () => program.output().includes('burnt'));
    expect(usageOf(program).map(({ isOwn }) => isOwn)).toEqual([true, false]);
    expect(ownCpuUs(program)).toBeGreaterThanOrEqual(80_000);
    expect(childrenCpuUs(program)).toBeGreaterThanOrEqual(300_000);
    expect(childrenCpuUs(program)).toBeGreaterThan(ownCpuUs(program));
    expect(Math.abs(exactCpuUs(program) - ownCpuUs(program))).toBeLessThan(50_000);
    const { totalMb, workerMb } = ownRssMb(program);
    expect([totalMb > 20, workerMb]).toEqual([true, totalMb]);
    await stop(program);
    expect(usageOf(program)).toEqual([]);
  });
});
