import type { Problems } from './problems.ts';
import type { Section } from './section.ts';

/** Values of `name` must differ within a list of tables; the second one is the fault. */
export function refuseRepeated(
  sections: readonly Section[],
  name: string,
  problems: Problems,
  normalize: (text: string) => string | null = (text) => text,
): void {
  const first = new Map<string, string>();
  for (const section of sections) {
    const text = section.maybeText(name);
    const value = text === null ? null : normalize(text);
    if (value === null) continue;
    const earlier = first.get(value);
    if (earlier !== undefined) problems.error(section.at(name), `is the same as ${earlier}`);
    else first.set(value, section.at(name));
  }
}
