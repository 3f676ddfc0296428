import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { CliError, EXIT_FAILED, EXIT_OK, EXIT_USAGE, warnLine, type CliIo, type Globals } from './cli/io.ts';
import { systemClock } from './core/clock.ts';
import { tunePrimary } from './process/worker-runtime.ts';

/** The command line: which words call which function of `cli/`. Commands are loaded when called, so that each starts fast. */

tunePrimary();
const { MCP_GUARD_CONFIG: configFromEnv, MCP_GUARD_KEY: keyFromEnv, ...env } = process.env;
const io: CliIo = { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, env, cwd: process.cwd(), clock: systemClock };
const program = new Command('mcp-guard');

function globals(): Globals {
  const { config, verbose } = program.opts<{ config: string; verbose: number }>();
  return { config, verbosity: verbose };
}

function exitsWith(command: Promise<number>): Promise<void> {
  return command.then((code) => {
    process.exitCode = code;
  });
}

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,10}$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`Must be a whole number from ${min} to ${max}.`);
    return value;
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (!/^\d{1,9}(\.\d{1,9})?$/.test(text) || value <= 0) throw new InvalidArgumentError('Must be a number above 0.');
  return value;
}

function list(text: string): readonly string[] {
  const items = text.split(',').map((item) => item.trim());
  if (items.includes('')) throw new InvalidArgumentError('Must be names separated by commas.');
  return items;
}

program
  .description('A security gateway for Model Context Protocol servers')
  .option(
    '-c, --config <file>',
    'configuration file; its extension tells TOML, YAML or JSON (also MCP_GUARD_CONFIG)',
    configFromEnv || 'mcp-guard.toml',
  )
  .option('-v, --verbose', 'log more: -v debug, -vv trace', (_text, count: number) => count + 1, 0)
  .helpOption('-h, --help', 'show help')
  .exitOverride();

program
  .command('init')
  .description('write a first configuration with the bundled demo server behind it, and print its key once')
  .addOption(new Option('--format <format>', 'syntax of the file').choices(['toml', 'yaml', 'json']).default('toml'))
  .option('--force', 'replace an existing file', false)
  .action((options: { format: 'toml' | 'yaml' | 'json'; force: boolean }) =>
    exitsWith(import('./cli/init.ts').then(({ init }) => init(io, { format: options.format, isForced: options.force }))),
  );

program
  .command('validate')
  .description('check the configuration and print every problem')
  .action(() => exitsWith(import('./cli/validate.ts').then(({ validate }) => validate(io, globals()))));

program
  .command('keygen')
  .description('make an API key; only its hash belongs into the configuration')
  .requiredOption('--user-id <id>', 'who will use it')
  .option('--rate-limit <n>', 'requests per second instead of the default', positive)
  .option('--tools <patterns>', 'allowed tools, separated by commas; default all, written as ["*"]', list)
  .option('--expires <when>', 'RFC 3339 time, date, or a span such as 30d or 12h')
  .option('--apply-to-config', 'add the entry to the configuration file', false)
  .action((options: { userId: string; rateLimit?: number; tools?: readonly string[]; expires?: string; applyToConfig: boolean }) =>
    exitsWith(import('./cli/keygen.ts').then(({ keygen }) => keygen(io, globals(), options))),
  );

program
  .command('hash-key')
  .description('print the hash of a key as `key_hash` holds it')
  .argument('<key>', 'the key, or - to read it from stdin')
  .action((key: string) => exitsWith(import('./cli/hash-key.ts').then(({ hashKey }) => hashKey(io, key))));

program
  .command('run')
  .description('start the gateway')
  .option('--host <host>', 'address to listen on instead of server.host')
  .option('--port <port>', 'port to listen on instead of server.port; 0 picks a free one', integer(0, 65_535))
  .option('--demo', 'no configuration file: the bundled demo server behind new keys', false)
  .action((options: { host?: string; port?: number; demo: boolean }) =>
    exitsWith(
      import('./cli/run.ts').then(({ run }) => run(io, globals(), { host: options.host, port: options.port, isDemo: options.demo })),
    ),
  );

program
  .command('serve')
  .description('the gateway for the MCP client that starts it: MCP on stdin and stdout, logs on stderr')
  .option('--server <name>', 'the server to talk to; may be left out when `/mcp` has one')
  .option('--key-file <file>', 'file with the API key of the client (also MCP_GUARD_KEY, the key itself)')
  .action((options: { server?: string; keyFile?: string }) =>
    exitsWith(
      import('./cli/serve.ts').then(({ serve }) =>
        serve(io, globals(), { server: options.server, keyFile: options.keyFile, key: keyFromEnv || undefined }),
      ),
    ),
  );

program
  .command('version')
  .description('print the versions of the program and its runtime')
  .action(() => exitsWith(import('./cli/version.ts').then(({ version }) => version(io))));

program
  .command('check-upstream')
  .description('connect to every configured server once and say what it is')
  .option('--timeout <seconds>', 'longest wait per server', positive, 10)
  .action((options: { timeout: number }) =>
    exitsWith(import('./cli/check-upstream.ts').then(({ checkUpstream }) => checkUpstream(io, globals(), options.timeout * 1000))),
  );

program
  .command('check')
  .description('decide a call offline: ALLOW and what is left of the burst (exit 0), or DENY and the rule (exit 3)')
  .requiredOption('--policy <file>', 'configuration file that holds the policy')
  .option('--tool <name>', 'tool that would be called')
  .option('--identity <id>', 'id of an API key; without it an identity that has no lists of its own')
  .option('--server <name>', 'server that has the tool; may be left out when there is one')
  .option('--prompt <name>', 'not available yet')
  .option('--resource <uri>', 'not available yet')
  .action((options: { policy: string; tool?: string; identity?: string; server?: string; prompt?: string; resource?: string }) =>
    exitsWith(import('./cli/check.ts').then(({ check }) => check(io, options))),
  );

program
  .command('config')
  .description('look at the configuration')
  .command('show')
  .description('print the effective configuration with secrets masked')
  .action(() => exitsWith(import('./cli/config-show.ts').then(({ configShow }) => configShow(io, globals()))));

program
  .command('schema')
  .description('print the JSON schema of the configuration, for editors')
  .action(() => exitsWith(import('./cli/schema.ts').then(({ schema }) => schema(io))));

program
  .command('demo-server')
  .description('a harmless MCP server on stdin and stdout, to try the gateway with')
  .action(() => exitsWith(import('./cli/demo-server.ts').then(({ demoServer }) => demoServer(io))));

/** A reader that left (`mcp-guard schema | head`) is no failure. */
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? EXIT_OK : EXIT_FAILED));

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
  if (error instanceof CliError) {
    for (const line of error.lines) io.stderr.write(`${line}\n`);
    return EXIT_FAILED;
  }
  const detail = error instanceof Error && globals().verbosity > 0 ? error.stack : String(error);
  warnLine(io, `internal error: ${detail}`);
  return EXIT_FAILED;
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
// Whatever a command left open must not hold the process, once what it printed is written.
await Promise.all([process.stdout, process.stderr].map((stream) => new Promise<void>((resolve) => void stream.write('', () => resolve()))));
process.exit();
