import type { VirtualSettings } from '../core/config.ts';
import type { Selection } from '../core/virtual.ts';
import { hasDotSegments } from './dot-segments.ts';
import { compilePattern } from './pattern.ts';
import { compileToolIndex } from './tool-index.ts';

type Chooses = (member: string, name: string) => boolean;

const EVERYTHING: Chooses = () => true;

/** Compiles what a virtual server offers; throws PatternError. `checkPatterns` reports the same patterns with their places. */
export function compileSelection({ tools, prompts, resources }: VirtualSettings): Selection {
  const matchers = resources?.map((pattern) => compilePattern(pattern, 'uri')) ?? null;
  return {
    tool: compileNames(tools),
    prompt: compileNames(prompts),
    // `a/../b` is below `a` for a pattern, and not for whoever reads it.
    resource: (uri) => matchers === null || (!hasDotSegments(uri) && matchers.some((matches) => matches(uri))),
  };
}

function compileNames(patterns: readonly string[] | null): Chooses {
  if (patterns === null) return EVERYTHING;
  const find = compileToolIndex(patterns);
  return (member, name) => find(member, name) >= 0;
}
