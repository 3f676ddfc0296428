/**
 * What is known of one configuration key. The table built of these is the only description: validator, JSON schema,
 * environment names, `config show` and `docs/config.md` are all derived from it.
 */
interface FieldBase {
  /** One sentence, Markdown, for the documentation and editors. */
  readonly description: string;
  /** False: recognised and type-checked, but the feature behind it is not built yet; setting it is an error. */
  readonly isAvailable: boolean;
  /** Values of a key that is not available which ask for nothing and may therefore be written. */
  readonly inert: readonly unknown[];
}

/** What `config show` may print: everything, everything but referenced environment values and URL queries, or nothing. */
export type Sensitivity = 'plain' | 'references' | 'secret';

/** Says what is wrong with a text, in words that follow the key's name (`must be …`), or null when it is fine. */
export type TextCheck = (text: string) => string | null;

export interface FlagField extends FieldBase {
  readonly kind: 'flag';
  readonly default: boolean;
  /** The default under `server.profile = "hardened"`, when it differs. */
  readonly hardened?: boolean;
}

export interface NumberField extends FieldBase {
  readonly kind: 'number' | 'integer';
  readonly min: number;
  readonly max: number;
  /** Null: no default. */
  readonly default: number | null;
  readonly hardened?: number;
  /** A word that may stand instead of the number: `auto`. */
  readonly word?: string;
  readonly isRequired?: boolean;
}

export interface TextField extends FieldBase {
  readonly kind: 'text';
  readonly default: string | null;
  readonly sensitivity: Sensitivity;
  readonly check?: TextCheck;
  /** Whether the empty string is a value. */
  readonly isEmptyAllowed?: boolean;
  readonly isRequired?: boolean;
}

export interface ChoiceField extends FieldBase {
  readonly kind: 'choice';
  readonly choices: readonly string[];
  /** Choices that are recognised and not available yet. */
  readonly laterChoices: readonly string[];
  readonly default: string | null;
  readonly hardened?: string;
}

export interface TextListField extends FieldBase {
  readonly kind: 'text_list';
  /** Null: not stated, which means something else than an empty list. */
  readonly default: readonly string[] | null;
  readonly sensitivity: Sensitivity;
  readonly check?: TextCheck;
  readonly isEmptyItemAllowed?: boolean;
}

/** A table of texts with names of the operator's choice: headers, environment variables. */
export interface TextMapField extends FieldBase {
  readonly kind: 'text_map';
  readonly sensitivity: Sensitivity;
  readonly checkName?: TextCheck;
  readonly check?: TextCheck;
}

/** A table of lists of texts. */
export interface ListMapField extends FieldBase {
  readonly kind: 'list_map';
}

/** Any data; only for keys that are not available yet. */
export interface AnyField extends FieldBase {
  readonly kind: 'any';
}

export interface GroupField extends FieldBase {
  readonly kind: 'group';
  readonly fields: Fields;
}

export interface GroupListField extends FieldBase {
  readonly kind: 'group_list';
  readonly fields: Fields;
  /** One table may be written without the list around it. */
  readonly isSingleAllowed: boolean;
}

export type ScalarField = FlagField | NumberField | TextField | ChoiceField;
export type Field = ScalarField | TextListField | TextMapField | ListMapField | AnyField | GroupField | GroupListField;
export type Fields = Readonly<Record<string, Field>>;

const AVAILABLE = { isAvailable: true, inert: [] } as const;

export function flag(byDefault: boolean, description: string, hardened?: boolean): FlagField {
  return { kind: 'flag', ...AVAILABLE, default: byDefault, description, ...(hardened === undefined ? {} : { hardened }) };
}

type NumberOptions = Pick<NumberField, 'hardened' | 'word' | 'isRequired'>;

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number, byDefault: number | null, description: string, options: NumberOptions = {}): NumberField {
  return { kind: 'integer', ...AVAILABLE, min, max, default: byDefault, description, ...options };
}

/** A number from `min` to `max`, fractions allowed. */
export function number(min: number, max: number, byDefault: number | null, description: string, options: NumberOptions = {}): NumberField {
  return { kind: 'number', ...AVAILABLE, min, max, default: byDefault, description, ...options };
}

type TextOptions = Partial<Pick<TextField, 'sensitivity' | 'check' | 'isEmptyAllowed' | 'isRequired'>>;

export function text(byDefault: string | null, description: string, options: TextOptions = {}): TextField {
  return { kind: 'text', ...AVAILABLE, default: byDefault, description, sensitivity: 'plain', ...options };
}

/** A text that is never shown, with a `…_file` twin. */
export function secret(description: string, options: TextOptions = {}): TextField {
  return { ...text(null, description, options), sensitivity: 'secret' };
}

export function choice(
  choices: readonly string[],
  byDefault: string | null,
  description: string,
  laterChoices: readonly string[] = [],
): ChoiceField {
  return { kind: 'choice', ...AVAILABLE, choices, laterChoices, default: byDefault, description };
}

type ListOptions = Partial<Pick<TextListField, 'sensitivity' | 'check' | 'isEmptyItemAllowed'>>;

export function textList(byDefault: readonly string[] | null, description: string, options: ListOptions = {}): TextListField {
  return { kind: 'text_list', ...AVAILABLE, default: byDefault, description, sensitivity: 'plain', ...options };
}

type MapOptions = Partial<Pick<TextMapField, 'sensitivity' | 'checkName' | 'check'>>;

export function textMap(description: string, options: MapOptions = {}): TextMapField {
  return { kind: 'text_map', ...AVAILABLE, description, sensitivity: 'plain', ...options };
}

export function listMap(description: string): ListMapField {
  return { kind: 'list_map', ...AVAILABLE, description };
}

export function anything(description: string): AnyField {
  return { kind: 'any', ...AVAILABLE, description };
}

export function group(description: string, fields: Fields): GroupField {
  return { kind: 'group', ...AVAILABLE, description, fields };
}

export function groupList(description: string, fields: Fields, isSingleAllowed = false): GroupListField {
  return { kind: 'group_list', ...AVAILABLE, description, fields, isSingleAllowed };
}

/**
 * Marks a key, and all below it, as recognised and not available yet. `inert` are the values that ask for nothing. What
 * stands in a list needs no mark: the list that is not empty is refused as a whole.
 */
export function later<F extends Field>(field: F, inert: readonly unknown[] = ownInert(field)): F {
  const marked = { ...field, isAvailable: false, inert };
  return field.kind === 'group' ? { ...marked, fields: laterFields(field.fields, ownInert) } : marked;
}

/** Like `later`, for a feature that is off by default: there every key's default asks for nothing. */
export function laterAndOff(field: GroupField): GroupField {
  return { ...field, isAvailable: false, fields: laterFields(field.fields, (below) => [...ownInert(below), ...defaultOf(below)]) };
}

function laterFields(fields: Fields, inertOf: (field: Field) => readonly unknown[]): Fields {
  const mark = (field: Field): Field =>
    field.kind === 'group' ? { ...field, isAvailable: false, fields: laterFields(field.fields, inertOf) } : later(field, inertOf(field));
  return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, mark(field)]));
}

function ownInert(field: Field): readonly unknown[] {
  return field.kind === 'flag' ? [false] : field.kind === 'choice' ? ['off'] : [];
}

function defaultOf(field: Field): readonly unknown[] {
  return 'default' in field && field.default !== null ? [field.default] : [];
}
