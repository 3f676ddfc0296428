import { KeyNames } from './key-names.ts';
import { JsonScanner, type ScanLimits } from './scan.ts';

const TOP = new KeyNames(['jsonrpc', 'id', 'result', 'error']);
const RESULT = new KeyNames(['tools']);
const TOOL = new KeyNames(['name']);

/** As deep as upstream messages may be; the bytes are bounded by who received them. */
const LIMITS: ScanLimits = { maxDepth: 512, maxKeys: Infinity, maxStringBytes: Infinity, areSkippedKeysCompared: false };

/** What was found in a reply: where the list's elements stand, in pairs of offsets, and whether each stays. */
interface ToolList {
  /** Offset behind `[`; −1 while no list was seen. */
  start: number;
  /** Offset of `]`. */
  end: number;
  kept: number[];
  dropped: number;
  isError: boolean;
  isSound: boolean;
}

const COMMA = Buffer.from(',');

const scanner = new JsonScanner();

/**
 * A `tools/list` response without the tools that `keep` refuses (it gets decoded names). The rest stays byte for byte;
 * when nothing is dropped, or the response is an error, the reply itself is returned. Null when it is no well-formed
 * list, so that what a client would read as a tool could differ from what was asked about: the caller answers 502.
 */
export function filterTools(reply: Buffer, keep: (tool: string) => boolean): Buffer | null {
  return filtered(reply, keep, true);
}

/** The same for a response to an unknown request: one that has no `tools` in its result is no list, and stays as it is. */
export function filterAnyTools(reply: Buffer, keep: (tool: string) => boolean): Buffer | null {
  return filtered(reply, keep, false);
}

function filtered(reply: Buffer, keep: (tool: string) => boolean, isList: boolean): Buffer | null {
  const list: ToolList = { start: -1, end: -1, kept: [], dropped: 0, isError: false, isSound: true };
  try {
    if (!scanner.begin(reply, LIMITS) || !scanner.isObject) return null;
    for (let more = scanner.enter(); more; more = scanner.next()) readMember(list, keep);
    if (!scanner.finish() || !list.isSound) return null;
    if (list.isError === list.start >= 0 && (isList || list.isError)) return null;
  } finally {
    scanner.end();
  }
  return list.dropped === 0 ? reply : withoutDropped(reply, list);
}

function readMember(list: ToolList, keep: (tool: string) => boolean): void {
  const key = TOP.match(scanner);
  if (key === -1 && TOP.isVariant(scanner)) list.isSound = false;
  if (key === 3) list.isError = true;
  if (key !== 2) {
    scanner.skip();
    return;
  }
  if (!scanner.isObject) {
    list.isSound = false;
    scanner.skip();
    return;
  }
  for (let more = scanner.enter(); more; more = scanner.next()) readResultMember(list, keep);
}

function readResultMember(list: ToolList, keep: (tool: string) => boolean): void {
  const isTools = RESULT.match(scanner) === 0;
  if (!isTools && RESULT.isVariant(scanner)) list.isSound = false;
  if (!isTools || !scanner.isArray) {
    if (isTools) list.isSound = false;
    scanner.skip();
    return;
  }
  list.start = scanner.pos + 1;
  for (let more = scanner.enter(); more; more = scanner.next()) readTool(list, keep);
  list.end = scanner.pos - 1;
}

function readTool(list: ToolList, keep: (tool: string) => boolean): void {
  const start = scanner.pos;
  const name = readToolName(list);
  if (name === null) list.isSound = false;
  else if (keep(name)) list.kept.push(start, scanner.pos);
  else list.dropped++;
}

function readToolName(list: ToolList): string | null {
  if (!scanner.isObject) {
    scanner.skip();
    return null;
  }
  let name: string | null = null;
  for (let more = scanner.enter(); more; more = scanner.next()) {
    const isName = TOOL.match(scanner) === 0;
    if (!isName && TOOL.isVariant(scanner)) list.isSound = false;
    const start = scanner.pos;
    const isString = scanner.isString;
    if (scanner.skip() && isName && isString) name = scanner.text(start, scanner.pos);
  }
  return name;
}

function withoutDropped(reply: Buffer, list: ToolList): Buffer {
  const parts: Buffer[] = [reply.subarray(0, list.start)];
  for (let i = 0; i < list.kept.length; i += 2) {
    if (i > 0) parts.push(COMMA);
    parts.push(reply.subarray(list.kept[i], list.kept[i + 1]));
  }
  parts.push(reply.subarray(list.end));
  return Buffer.concat(parts);
}
