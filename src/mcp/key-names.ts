import type { JsonScanner } from './scan.ts';

const LARGEST_CONTROL = 0x1f;
const DELETE = 0x7f;

/**
 * Reduces a name to what a lenient JSON binding might take it for: compatibility forms (`ſ`, full width), accents,
 * invisible characters, spaces and controls (a NUL ends a C string), then case.
 */
function folded(text: string): string {
  return withoutInvisible(withoutInvisible(text).normalize('NFKD')).toUpperCase().toLowerCase();
}

/** Marks go before the normalisation too, which sorts runs of them in quadratic time: a key may be a megabyte of them. */
function withoutInvisible(text: string): string {
  return text.replace(/[\p{M}\p{C}\p{Z}]+/gu, '');
}

function lowered(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}

/**
 * The protocol keys of one level of a message. `match` tells them apart by exact bytes; `isVariant` finds keys that
 * another parser could take for one of them (CVE-2026-27896: case-insensitive and NUL-terminated keys).
 */
export class KeyNames {
  private readonly names: readonly Buffer[];
  private readonly foldedNames: ReadonlySet<string>;

  constructor(names: readonly string[]) {
    this.names = names.map((name) => Buffer.from(name));
    this.foldedNames = new Set(names.map(folded));
  }

  /** Index of the scanner's last key among the names, −1 when it is none of them. */
  match(scanner: JsonScanner): number {
    const { keyBytes, keyFrom } = scanner;
    const length = scanner.keyTo - keyFrom;
    for (let index = 0; index < this.names.length; index++) {
      const name = this.names[index] as Buffer;
      if (name.length !== length) continue;
      let i = 0;
      while (i < length && keyBytes[keyFrom + i] === name[i]) i++;
      if (i === length) return index;
    }
    return -1;
  }

  /**
   * Whether the last key, which matches none of the names, could pass for one; keys with a NUL always could. Once the
   * scanner has a fault nothing is looked at: the text is refused, however many keys are still to come.
   */
  isVariant(scanner: JsonScanner): boolean {
    const { keyBytes, keyFrom, keyTo, fault } = scanner;
    if (fault !== null) return false;
    let isPlain = true;
    for (let p = keyFrom; p < keyTo; p++) {
      const byte = keyBytes[p] as number;
      if (byte === 0) return true;
      if (byte <= LARGEST_CONTROL + 1 || byte >= DELETE) isPlain = false;
    }
    return isPlain ? this.isCaseVariant(scanner) : this.foldedNames.has(folded(scanner.keyText()));
  }

  private isCaseVariant(scanner: JsonScanner): boolean {
    const { keyBytes, keyFrom } = scanner;
    const length = scanner.keyTo - keyFrom;
    for (const name of this.names) {
      if (name.length !== length) continue;
      let i = 0;
      while (i < length && lowered(keyBytes[keyFrom + i] as number) === lowered(name[i] as number)) i++;
      if (i === length) return true;
    }
    return false;
  }
}
