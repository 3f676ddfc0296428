/** Ends a process group at once; one that is gone already is what was wanted. */
export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: the group has ended by itself.
  }
}
