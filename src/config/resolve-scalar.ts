import { type Interpolated, interpolate, MASK } from './interpolate.ts';
import type { ResolveContext } from './resolve.ts';
import type { ChoiceField, FlagField, NumberField, ScalarField, Sensitivity, TextCheck } from './schema-types.ts';
import type { ScalarNode, TreeNode } from './tree.ts';

/** A scalar that passed its checks; `isFaulty` when it did not (then the problem is recorded). */
export interface ScalarResult {
  readonly value: string | number | boolean | null;
  readonly masked: string | null;
  readonly isFaulty: boolean;
}

const FAULTY: ScalarResult = { value: null, masked: null, isFaulty: true };
const SERVICE_LINK = /^(?:tcp|udp|sctp):\/\//;

/** Reads one scalar of the tree as `field` says. */
export function resolveScalar(field: ScalarField, node: TreeNode, path: string, context: ResolveContext): ScalarResult {
  if (node.kind !== 'scalar') return fail(context, path, `must be ${wanted(field)}, not a ${node.kind === 'list' ? 'list' : 'table'}`);
  if (node.value === null) return fail(context, path, 'has no value');
  if (typeof node.value !== 'string') return checked(field, node.value, false, path, context);
  const text = textOf(node, node.value, path, context);
  if (text === null) return FAULTY;
  const isLoose = node.origin !== null || text.hasReferences;
  if (isLoose && field.kind !== 'text' && SERVICE_LINK.test(text.value)) return fail(context, path, SERVICE_LINK_FAULT);
  const value = isLoose ? converted(field, text.value) : text.value;
  const result = checked(field, value, isLoose, path, context);
  return result.isFaulty ? result : { ...result, masked: field.kind === 'text' ? maskText(field.sensitivity, text) : null };
}

const SERVICE_LINK_FAULT =
  'holds an address that Kubernetes injected for a Service of this name (service links): rename the Service, or set enableServiceLinks: false in the Pod';

/** References are resolved in what the file says; what the environment or a flag says is taken literally. */
function textOf(node: ScalarNode, text: string, path: string, context: ResolveContext): Interpolated | null {
  if (node.origin !== null) return { value: text, masked: text, hasReferences: false, faults: [] };
  const found = interpolate(text, context.env, context.used);
  for (const fault of found.faults) context.problems.error(path, fault);
  return found.faults.length === 0 ? found : null;
}

export function maskText(sensitivity: Sensitivity, text: Interpolated): string | null {
  if (sensitivity === 'secret') return MASK;
  if (sensitivity === 'plain') return null;
  // The query of a URL is where tokens stand that are not in a header.
  const masked = text.masked.replace(/^([A-Za-z][A-Za-z0-9+.-]*:\/\/[^?\s]*\?).+$/s, `$1${MASK}`);
  return masked === text.value ? null : masked;
}

/** Environment values are text: `8080` and `true` become what the key wants. */
function converted(field: ScalarField, text: string): string | number | boolean {
  if (field.kind === 'flag') return text === 'true' ? true : text === 'false' ? false : text;
  if (field.kind === 'number' || field.kind === 'integer')
    return /^[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?$/.test(text) ? Number(text) : text;
  return text;
}

/** `isHidden`: the value came from the environment and is not repeated in a message. */
function checked(
  field: ScalarField,
  value: string | number | boolean,
  isHidden: boolean,
  path: string,
  context: ResolveContext,
): ScalarResult {
  const fault = faultOf(field, value);
  if (fault === null) return { value: field.kind === 'integer' && value === field.word ? null : value, masked: null, isFaulty: false };
  const isNamedAlready = field.kind === 'choice' && typeof value === 'string' && field.laterChoices.includes(value);
  const isShown = !isHidden && !isNamedAlready && (field.kind !== 'text' || (field.sensitivity === 'plain' && typeof value !== 'string'));
  return fail(context, path, isShown ? `${fault}, not ${shown(value)}` : fault);
}

function faultOf(field: ScalarField, value: string | number | boolean): string | null {
  switch (field.kind) {
    case 'flag':
      return flagFault(field, value);
    case 'number':
    case 'integer':
      return numberFault(field, value);
    case 'choice':
      return choiceFault(field, value);
    case 'text':
      return typeof value === 'string' ? textFault(field, value) : `must be ${wanted(field)}`;
  }
}

function flagFault(field: FlagField, value: unknown): string | null {
  return typeof value === 'boolean' ? null : `must be ${wanted(field)}`;
}

function numberFault(field: NumberField, value: unknown): string | null {
  if (field.word !== undefined && value === field.word) return null;
  if (typeof value !== 'number' || !Number.isFinite(value)) return `must be ${wanted(field)}`;
  if (field.kind === 'integer' && !Number.isSafeInteger(value)) return `must be ${wanted(field)}`;
  return value >= field.min && value <= field.max ? null : `must be ${wanted(field)}`;
}

function choiceFault(field: ChoiceField, value: unknown): string | null {
  if (typeof value === 'string' && field.laterChoices.includes(value)) return `"${value}" is recognised but not available in this version`;
  return typeof value === 'string' && field.choices.includes(value) ? null : `must be ${wanted(field)}`;
}

export function textFault(field: { readonly check?: TextCheck; readonly isEmptyAllowed?: boolean }, value: string): string | null {
  if (value === '') return field.isEmptyAllowed === true ? null : 'must not be empty';
  return field.check?.(value) ?? null;
}

/** What a key takes, in words: for messages and documentation. */
export function wanted(field: ScalarField): string {
  switch (field.kind) {
    case 'flag':
      return 'true or false';
    case 'text':
      return 'a text';
    case 'choice':
      return `one of ${[...field.choices, ...field.laterChoices].map((choice) => `"${choice}"`).join(', ')}`;
    case 'number':
    case 'integer':
      return `${field.word === undefined ? '' : `"${field.word}" or `}a ${field.kind === 'integer' ? 'whole ' : ''}number from ${field.min} to ${field.max}`;
  }
}

function shown(value: string | number | boolean): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : String(value);
}

function fail(context: ResolveContext, path: string, message: string): ScalarResult {
  context.problems.error(path, message);
  return FAULTY;
}

/** The default of a scalar under the chosen profile. */
export function defaultOf(field: ScalarField, isHardened: boolean): string | number | boolean | null {
  return isHardened && 'hardened' in field && field.hardened !== undefined ? field.hardened : field.default;
}
