import type { Field, Fields } from './schema-types.ts';

/** A value after type checks, defaults and references. */
export type Value = string | number | boolean | readonly string[] | ReadonlyMap<string, string> | Section | readonly Section[] | null;

export interface Entry {
  readonly field: Field;
  readonly value: Value;
  /** What `config show` prints; null = the value itself. */
  readonly masked: Value;
  /** Given by the operator, as opposed to a default. */
  readonly isSet: boolean;
}

/**
 * One table of the configuration with typed readers. Reading a key that the schema does not have, or as a type that it
 * is not, is a programmer error and throws.
 */
export class Section {
  readonly path: string;
  readonly fields: Fields;
  readonly #entries: ReadonlyMap<string, Entry>;

  constructor(path: string, fields: Fields, entries: ReadonlyMap<string, Entry>) {
    this.path = path;
    this.fields = fields;
    this.#entries = entries;
  }

  entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new Error(`no such key: ${this.at(name)}`);
    return entry;
  }

  at(name: string): string {
    return this.path === '' ? name : `${this.path}.${name}`;
  }

  isSet(name: string): boolean {
    return this.entry(name).isSet;
  }

  /** Whether anything in this table, or in one of the named keys of it, was given. */
  hasAny(names: readonly string[] = Object.keys(this.fields)): boolean {
    return names.some((name) => this.entry(name).isSet);
  }

  flag(name: string): boolean {
    const { value } = this.entry(name);
    return typeof value === 'boolean' ? value : wrongType(this.at(name));
  }

  number(name: string): number {
    return this.maybeNumber(name) ?? wrongType(this.at(name));
  }

  maybeNumber(name: string): number | null {
    const { value } = this.entry(name);
    return typeof value === 'number' || value === null ? value : wrongType(this.at(name));
  }

  text(name: string): string {
    return this.maybeText(name) ?? wrongType(this.at(name));
  }

  maybeText(name: string): string | null {
    const { value } = this.entry(name);
    return typeof value === 'string' || value === null ? value : wrongType(this.at(name));
  }

  /** A choice; `choices` repeats the table's, for the type. */
  choice<C extends string>(name: string, choices: readonly C[]): C {
    return choices.find((choice) => choice === this.entry(name).value) ?? wrongType(this.at(name));
  }

  list(name: string): readonly string[] {
    return this.maybeList(name) ?? wrongType(this.at(name));
  }

  maybeList(name: string): readonly string[] | null {
    const { value } = this.entry(name);
    if (value === null) return null;
    return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : wrongType(this.at(name));
  }

  map(name: string): ReadonlyMap<string, string> {
    const { value } = this.entry(name);
    return value instanceof Map ? value : wrongType(this.at(name));
  }

  section(name: string): Section {
    const { value } = this.entry(name);
    return value instanceof Section ? value : wrongType(this.at(name));
  }

  sections(name: string): readonly Section[] {
    const { value } = this.entry(name);
    return Array.isArray(value) ? value.filter((item) => item instanceof Section) : wrongType(this.at(name));
  }
}

function wrongType(path: string): never {
  throw new Error(`read as another type than the schema says: ${path}`);
}
