/** A string with its environment references replaced. */
export interface Interpolated {
  readonly value: string;
  /** The same with every referenced value as `***`, for `config show`. */
  readonly masked: string;
  readonly hasReferences: boolean;
  /** Faults in words; the value is then not usable. */
  readonly faults: readonly string[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

export const MASK = '***';

const REFERENCE = /\$\$\{|\$\{([^{}]*)\}|\$\{/g;
const BODY = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/;

/**
 * Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for a literal `${`. As in a POSIX shell the default also
 * stands in for an empty value. What a variable holds is taken literally: it is not searched for references again.
 */
export function interpolate(text: string, env: Environment, used: Set<string>): Interpolated {
  if (!text.includes('${')) return { value: text, masked: text, hasReferences: false, faults: [] };
  const faults: string[] = [];
  let hasReferences = false;
  const replaceWith = (mask: string | null): string =>
    text.replace(REFERENCE, (whole: string, body: string | undefined) => {
      if (whole === '$${') return '${';
      hasReferences = true;
      return mask ?? resolve(body, env, used, faults);
    });
  const value = replaceWith(null);
  return { value, masked: replaceWith(MASK), hasReferences, faults };
}

/** Writes a text so that `interpolate` gives it back: for programs that write configuration files. */
export function escapeReferences(text: string): string {
  // A function, because in a replacement text `$$` stands for one dollar.
  return text.replaceAll('${', () => '$${');
}

function resolve(body: string | undefined, env: Environment, used: Set<string>, faults: string[]): string {
  const match = body === undefined ? null : BODY.exec(body);
  const name = match?.[1];
  if (name === undefined) {
    faults.push('holds a malformed reference: write ${NAME} or ${NAME:-default}, and $${ for a literal ${');
    return '';
  }
  used.add(name);
  const value = env[name];
  const fallback = match?.[2];
  if (fallback !== undefined) return value === undefined || value === '' ? fallback : value;
  if (value === undefined) faults.push(`refers to the environment variable ${name}, which is not set`);
  return value ?? '';
}
