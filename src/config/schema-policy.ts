import {
  anything,
  choice,
  flag,
  type GroupField,
  group,
  groupList,
  integer,
  later,
  laterAndOff,
  number,
  text,
  textList,
} from './schema-types.ts';

const DETECTOR_MODES = ['off', 'log', 'block'];
const MODE = choice(DETECTOR_MODES, 'off', 'What a finding leads to.');

function allowDeny(what: string): GroupField {
  return group(`Which ${what} anyone may use.`, {
    allow: textList(null, `Patterns; not set = all ${what}.`),
    deny: textList([], 'Patterns; they beat every allowance.'),
  });
}

export const POLICY: GroupField = group('What holds for every caller, on top of the grants of each.', {
  mode: later(choice(['enforce', 'observe'], 'enforce', '`observe` forwards and records what it would have denied.'), ['enforce']),
  tools: group(
    'Tools for every caller. Patterns: `*` any characters, `?`, `[ab]`, `[!ab]`; `server:tool`; `re:` starts a regular expression, of the whole name too.',
    {
      allow: textList(null, 'Patterns; not set = all tools. A tool must match this and the grants of its caller.'),
      deny: textList([], 'Patterns; they beat every allowance.'),
    },
  ),
  resources: later(allowDeny('resources')),
  prompts: later(
    group('Prompts, and texts sent to tools.', {
      allow: textList(null, 'Patterns; not set = all prompts.'),
      deny: textList([], 'Patterns; they beat every allowance.'),
      deny_regex: textList([], 'Regular expressions that texts must not match.'),
      max_length: integer(1, 100_000_000, null, 'Longest text in characters.'),
    }),
  ),
  methods: later(allowDeny('methods')),
  arguments: later(
    groupList('Conditions on the arguments of tools.', {
      tool: text(null, 'Pattern of the tools it holds for.', { isRequired: true }),
      argument: text(null, 'Name of the argument.'),
      allow_regex: text(null, 'Must match.'),
      deny_regex: text(null, 'Must not match.'),
      max_length: integer(1, 100_000_000, null, 'Longest text in characters.'),
      schema: anything('JSON Schema for all arguments together.'),
    }),
  ),
});

function detector(description: string, more: Parameters<typeof group>[1] = {}): GroupField {
  return laterAndOff(group(description, { mode: MODE, ...more }));
}

export const GUARDS: GroupField = laterAndOff(
  group('Detectors of dangerous content.', {
    prompt_injection: detector('Instructions hidden in arguments and results.', {
      scan_results: flag(true, 'Whether results are scanned too.'),
      result_action: choice(['block', 'redact', 'annotate'], 'block', 'What `block` does to a result.'),
    }),
    jailbreak: detector('Known ways to talk a model out of its rules.'),
    hidden_text: detector('Characters that people do not see.'),
    tool_poisoning: detector('Instructions in tool definitions.'),
    rug_pull: detector('Tool definitions that changed since they were approved.', {
      pins_file: text(null, 'Where approved definitions are kept.'),
    }),
    tool_shadowing: detector('The same tool name from two servers.'),
    resources: detector('Resources that hold secrets or lead inside.'),
    prompt_names: detector('Prompt names that pretend to be the system.'),
    large_arguments: detector('Very large or code-like arguments.', {
      max_bytes: integer(1, 268_435_456, 65_536, 'Size that counts as large.'),
    }),
    secrets: detector('Keys and tokens in results.'),
    anomaly: detector('Unusual traffic of one caller.', {
      requests_per_minute: integer(1, 10_000_000, 500, 'Requests a minute.'),
      method_per_minute: integer(1, 10_000_000, 50, 'Requests a minute of one method.'),
      method_share: number(0, 1, 0.9, 'Share of one method in all requests.'),
    }),
    plugins: groupList('Detectors of your own.', {
      name: text(null, 'Name in metrics and audit.', { isRequired: true }),
      module: text(null, 'Path of the module.', { isRequired: true }),
      mode: MODE,
    }),
  }),
);
