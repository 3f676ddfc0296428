// Plain JavaScript for any Node from 18 on: it runs before the project's own Node is known to be there.

/** Why this Node cannot run the project, with what to do about it; null when it can. */
export function nodeProblem(version) {
  const [major, minor] = version.split('.').map(Number);
  if (major === 22 && minor >= 18) return null;
  return [
    `mcp-guard runs on Node 22 (22.18 or later); this is Node ${version}.`,
    'The project carries its own Node as the npm package "node", whose install script has not run,',
    'because npm was told to ignore install scripts. Approve that one script and run the command again:',
    '',
    '  npm install-scripts approve node',
    '  npm rebuild node --ignore-scripts=false',
    '',
    'An npm that does not know the first command does not need it. A Node 22 first on PATH will do as well.',
  ].join('\n');
}

/** Ends the process with status 1 and the remedy when this Node is not the right one. */
export function requireNode() {
  const problem = nodeProblem(process.versions.node);
  if (problem === null) return;
  console.error(problem);
  process.exit(1);
}
