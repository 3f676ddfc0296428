import { RE2JS } from 're2js';
import type { ConfigProblem, ConfigSnapshot, RedactionRule } from '../core/config.ts';

function fault(rule: RedactionRule): string | null {
  try {
    if (RE2JS.compile(rule.pattern).test('')) return 'matches the empty text, so it would replace everything';
  } catch (error) {
    return `is no regular expression of RE2 syntax: ${error instanceof Error ? error.message : String(error)}`;
  }
  return null;
}

/** Problems of `audit.redaction_rules`, each with the path of the pattern. */
export function checkRedaction(snapshot: ConfigSnapshot): ConfigProblem[] {
  return snapshot.audit.redactionRules.flatMap((rule, index): ConfigProblem[] => {
    const found = fault(rule);
    const path = `audit.redaction_rules[${index}].pattern`;
    return found === null ? [] : [{ path, message: `pattern of "${rule.name}" ${found}`, severity: 'error' }];
  });
}
