/** Types of `preflight.mjs`, which stays plain JavaScript because it runs before the project's Node is known. */
export function nodeProblem(version: string): string | null;
export function requireNode(): void;
