import { serverSections, transportOf } from './build-upstream.ts';
import type { Problems } from './problems.ts';
import type { Section } from './section.ts';

/** A session with a child or connection of its own lives in one worker: there must be no other that its requests could come to. */
export function checkIsolation(upstream: Section, workers: number, problems: Problems): void {
  for (const section of serverSections(upstream)) {
    if (section.entry('isolation').value !== 'session') continue;
    const at = section.at('isolation');
    if (transportOf(section) === 'http')
      problems.error(at, 'has no meaning with transport "http": a session there is the server\'s to keep apart');
    if (workers > 1)
      problems.error(at, `needs server.workers = 0 or 1 (there would be ${workers}): a session lives in the worker that began it`);
  }
}
