const jobs = new Set<() => void>();

process.once('exit', () => {
  for (const job of jobs) job();
});

/** Has the job done when this process ends, also by Ctrl-C, until the returned function is called. */
export function atExit(job: () => void): () => void {
  jobs.add(job);
  return () => void jobs.delete(job);
}
