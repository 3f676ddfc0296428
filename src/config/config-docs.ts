import { isScalar, SCHEMA, twinOf, variableOf } from './schema.ts';
import type { Field, GroupField, GroupListField } from './schema-types.ts';

const INTRODUCTION = `<!-- Generated from src/config/schema*.ts: do not edit. -->

# Configuration

One file, in TOML, YAML or JSON (with comments): the extension decides (\`.toml\`, \`.yaml\`, \`.yml\`, \`.json\`, \`.jsonc\`).
The default file is \`mcp-guard.toml\`; \`-c FILE\` or the variable \`MCP_GUARD_CONFIG\` names another. \`mcp-guard validate\` checks it,
\`mcp-guard config show\` prints what holds, \`mcp-guard schema\` prints the JSON schema for editors.

- **Precedence**: flag, then environment, then file, then default.
- **Environment**: every single value outside lists has a variable, named below. Lists and tables are set in the file
  only. An unknown \`MCP_GUARD_*\` variable is a warning.
- **References**: \`\${NAME}\` in a text is replaced by the environment variable, \`\${NAME:-default}\` has a default for a
  variable that is missing or empty; without one a missing variable is an error. \`$\${\` is a literal \`\${\`. A text with a reference
  may stand where a number or \`true\`/\`false\` is wanted. Values of variables, flags and files are not searched for references.
- **Secrets** can be kept in files: a key \`x\` marked *secret* has a twin \`x_file\`, a path. One trailing line end is ignored. Tables
  (\`headers\`, \`env\`) have a twin table of paths, lists a file with one entry per line. Giving both is an error.
- **Patterns** of tools and servers: \`*\`, \`?\`, \`[ab]\`, \`[!ab]\`, or \`re:\` and a regular expression (RE2). All match the **whole** name and mind
  case, in allow and deny lists alike: \`re:delete\` denies \`delete\` only, \`re:.*delete.*\` all that hold it. [More](callers.md).
- **Paths** are relative to the configuration file.
- **Strictness**: an unknown or repeated key is an error. So is a key of a feature that is *not available yet*, unless
  its value asks for nothing. All problems are reported together, with file, line and column.
- **Profile**: \`server.profile = "hardened"\` changes the defaults marked *hardened*, never a value that is set.
`;

/** `docs/config.md`: a table for each section. */
export function generateConfigDocs(): string {
  const sections = Object.entries(SCHEMA.fields).flatMap(([name, field]) =>
    'fields' in field ? sectionDocs(name, field, [name], field.isAvailable) : [],
  );
  return `${INTRODUCTION}\n${sections.join('\n')}`;
}

/** `path` is null below a list, where the environment reaches nothing. */
function sectionDocs(
  title: string,
  field: GroupField | GroupListField,
  path: readonly string[] | null,
  isAvailable: boolean,
): readonly string[] {
  const below = field.kind === 'group_list' && !field.isSingleAllowed ? null : path;
  const heading = `## \`${field.kind === 'group_list' ? `${title}[]` : title}\`${isAvailable ? '' : ' (not available yet)'}\n\n${field.description}\n`;
  const rows = Object.entries(field.fields).flatMap(([name, key]) => ('fields' in key ? [] : rowDocs(name, key, below, isAvailable)));
  const table = rows.length === 0 ? '' : `\n| key | type | default | variable | meaning |\n|---|---|---|---|---|\n${rows.join('\n')}\n`;
  const nested = Object.entries(field.fields).flatMap(([name, key]) => nestedDocs(name, key, field, title, below, isAvailable));
  return [`${heading}${table}`, ...nested];
}

function nestedDocs(
  name: string,
  key: Field,
  parent: GroupField | GroupListField,
  title: string,
  path: readonly string[] | null,
  isAvailable: boolean,
): readonly string[] {
  if (!('fields' in key)) return [];
  const prefix = parent.kind === 'group_list' ? `${title}[].${name}` : `${title}.${name}`;
  // The keys of `[upstream]` are described once.
  if (prefix === 'upstream.servers') return [`## \`upstream.servers[]\`\n\n${key.description} \`name\` is required.\n`];
  return sectionDocs(prefix, key, path === null ? null : [...path, name], isAvailable && key.isAvailable);
}

function rowDocs(name: string, field: Field, path: readonly string[] | null, isSectionAvailable: boolean): readonly string[] {
  const isSettable = path !== null && isScalar(field);
  const variable = isSettable ? `\`${variableOf([...path, name])}\`` : '';
  const mark = isSectionAvailable && !field.isAvailable ? '*Not available yet.* ' : '';
  const required = 'isRequired' in field && field.isRequired === true ? '*Required.* ' : '';
  const secret = twinOf(name, field) === null ? '' : ' *Secret.*';
  return [
    `| \`${name}\` | ${typeDocs(field)} | ${defaultDocs(field)} | ${variable} | ${escaped(`${mark}${required}${field.description}${secret}`)} |`,
  ];
}

function typeDocs(field: Field): string {
  switch (field.kind) {
    case 'flag':
      return 'true or false';
    case 'number':
    case 'integer':
      return `${field.word === undefined ? '' : `\`${field.word}\` or `}${field.kind === 'integer' ? 'whole number' : 'number'}, ${field.min} to ${field.max}`;
    case 'text':
      return 'text';
    case 'choice':
      return [
        ...field.choices.map((choice) => `\`${choice}\``),
        ...field.laterChoices.map((choice) => `\`${choice}\` (not available yet)`),
      ].join(', ');
    case 'text_list':
      return 'list of texts';
    case 'text_map':
      return 'table of texts';
    case 'list_map':
      return 'table of lists of texts';
    default:
      return 'any';
  }
}

function defaultDocs(field: Field): string {
  if (field.kind === 'text_list') return field.default === null ? '' : `\`${escaped(JSON.stringify(field.default))}\``;
  if (!isScalar(field)) return '';
  const byDefault = field.default ?? ('word' in field ? field.word : undefined);
  const hardened = 'hardened' in field && field.hardened !== undefined ? `; hardened \`${field.hardened}\`` : '';
  return byDefault === undefined || byDefault === null ? '' : `\`${escaped(JSON.stringify(byDefault))}\`${hardened}`;
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|');
}
