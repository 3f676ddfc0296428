import { serverSections, transportOf } from './build-upstream.ts';
import type { Problems } from './problems.ts';
import type { Section } from './section.ts';

/** A session of the client's own needs no child or connection of its own where the server tells sessions apart itself. */
export function checkIsolation(upstream: Section, problems: Problems): void {
  for (const section of serverSections(upstream)) {
    if (section.entry('isolation').value !== 'session' || transportOf(section) !== 'http') continue;
    problems.error(section.at('isolation'), 'has no meaning with transport "http": a session there is the server\'s to keep apart');
  }
}
