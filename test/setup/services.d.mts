/** Types of `services.mjs`, which stays plain JavaScript because it runs before the project's Node is known. */
export interface Service {
  readonly command: string;
  readonly package: string;
  readonly service: string | null;
}

export interface Where {
  readonly path: string;
  readonly isRoot: boolean;
  readonly policyFile: string;
}

export const SERVICES: readonly Service[];
export function missingServices(path: string): readonly Service[];
export function ensureServices(where: Where): string | null;
export function thisMachine(path: string): Where;
