/** Runs a command: exit code 0 when it returns true; a thrown error is shown without its stack. */
export async function runMain(main: () => Promise<boolean>): Promise<void> {
  // Through `exit`, which ends what was started.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  try {
    process.exitCode = (await main()) ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
