import { PatternError } from './glob.ts';
import { compilePattern, exactValueOf, matchesEveryName, type Matcher } from './pattern.ts';

/**
 * A pattern of a tool list. `server:tool` holds for tools of matching servers only; without a colon it holds for every
 * server. The first colon that is neither escaped nor in a class separates, and `re:` at the very start begins a
 * regular expression for the tool (`fs:re:read_.*` scopes one). A tool whose own name has a colon is written `ns\:tool`,
 * or `*:ns:tool`.
 */
export interface ToolPattern {
  readonly text: string;
  /** The server side as written, null when the pattern holds for every server. */
  readonly serverText: string | null;
  readonly matchesServer: Matcher;
  readonly matchesTool: Matcher;
  /** The only tool name it can match, null when there may be several. */
  readonly exactTool: string | null;
  /** It matches every tool of the servers it holds for. */
  readonly isEveryTool: boolean;
}

/** Compiles one pattern of a tool list; throws PatternError with a message for the operator. */
export function compileToolPattern(text: string): ToolPattern {
  const colon = text.startsWith('re:') ? -1 : separatorOf(text);
  const serverText = colon === -1 ? null : text.slice(0, colon);
  const toolText = text.slice(colon + 1);
  if (serverText === '') throw new PatternError('no server before ":"');
  if (toolText === '') throw new PatternError(colon === -1 ? 'empty pattern' : 'no tool after ":"');
  return Object.freeze({
    text,
    serverText,
    matchesServer: serverText === null ? () => true : compilePattern(serverText, 'name'),
    matchesTool: compilePattern(toolText, 'name'),
    exactTool: exactValueOf(toolText),
    isEveryTool: matchesEveryName(toolText),
  });
}

function separatorOf(text: string): number {
  let isInClass = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '\\') at++;
    else if (char === '[') isInClass = true;
    else if (char === ']') isInClass = false;
    else if (char === ':' && !isInClass) return at;
  }
  return -1;
}
