import { isScalar, SCHEMA, twinOf } from './schema.ts';
import type { Field, Fields, NumberField } from './schema-types.ts';

type Json = Readonly<Record<string, unknown>>;

/** A text that holds an environment reference may stand wherever a number or a flag is wanted. */
const REFERENCE: Json = { type: 'string', pattern: '\\$\\{' };
const NOT_AVAILABLE = 'Not available in this version. ';

/** The JSON Schema (2020-12) of the configuration, for editors: completion, descriptions, types and bounds. */
export function generateJsonSchema(): string {
  const root = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: 'urn:mcp-guard:config',
    title: 'mcp-guard configuration',
    ...table(SCHEMA.fields, SCHEMA.description),
  };
  return `${JSON.stringify(root, null, 2)}\n`;
}

function table(fields: Fields, description: string): Json {
  const properties: Record<string, Json> = {};
  for (const [name, field] of Object.entries(fields)) {
    properties[name] = fieldSchema(field);
    const twin = twinOf(name, field);
    if (twin !== null) properties[twin] = twinSchema(name, field);
  }
  const required = Object.entries(fields).filter(
    ([name, field]) => 'isRequired' in field && field.isRequired === true && twinOf(name, field) === null,
  );
  return {
    description,
    type: 'object',
    additionalProperties: false,
    properties,
    ...(required.length === 0 ? {} : { required: required.map(([name]) => name) }),
  };
}

function fieldSchema(field: Field): Json {
  const description = `${field.isAvailable ? '' : NOT_AVAILABLE}${field.description}`;
  const byDefault = isScalar(field) && field.default !== null ? { default: field.default } : {};
  switch (field.kind) {
    case 'flag':
      return { description, anyOf: [{ type: 'boolean' }, REFERENCE], ...byDefault };
    case 'number':
    case 'integer':
      return {
        description,
        anyOf: [numberSchema(field), ...(field.word === undefined ? [] : [{ const: field.word }]), REFERENCE],
        ...byDefault,
      };
    case 'choice':
      return { description, anyOf: [{ enum: [...field.choices, ...field.laterChoices] }, REFERENCE], ...byDefault };
    case 'text':
      return { description, type: 'string', ...byDefault };
    case 'text_list':
      return { description, type: 'array', items: { type: 'string' } };
    case 'text_map':
      return { description, type: 'object', additionalProperties: { type: 'string' } };
    case 'list_map':
      return { description, type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } };
    case 'any':
      return { description };
    case 'group':
      return table(field.fields, description);
    case 'group_list':
      return listSchema(table(field.fields, description), field.isSingleAllowed);
  }
}

function listSchema(item: Json, isSingleAllowed: boolean): Json {
  const list = { type: 'array', items: item };
  return isSingleAllowed ? { anyOf: [item, list] } : list;
}

function numberSchema(field: NumberField): Json {
  return { type: field.kind, minimum: field.min, maximum: field.max };
}

function twinSchema(name: string, field: Field): Json {
  const description = `${field.isAvailable ? '' : NOT_AVAILABLE}File that holds \`${name}\`.`;
  if (field.kind === 'text_map')
    return { description: `${description} One file per name.`, type: 'object', additionalProperties: { type: 'string' } };
  return { description: field.kind === 'text_list' ? `${description} One per line.` : description, type: 'string' };
}
