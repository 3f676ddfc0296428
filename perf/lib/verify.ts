import { ID } from './plan.ts';
import type { RequestPlan } from './plan.ts';

/** Checks answers after a plan, in generators of our own. */
export class Verifier {
  readonly #plan: RequestPlan;
  readonly #wants: readonly (readonly string[])[];

  constructor(plan: RequestPlan) {
    this.#plan = plan;
    this.#wants = plan.wants.map((want) => want.split(ID));
  }

  /** Whether the answers name the request they belong to; those to strangers do not. */
  get hasId(): boolean {
    return this.#wants.some(({ length }) => length > 1);
  }

  /** `id`: that of the request. */
  isRight(status: number, body: string, id: string): boolean {
    const { answerBytes } = this.#plan;
    if (status !== this.#plan.status || (answerBytes !== null && body.length !== answerBytes)) return false;
    return this.#wants.every((want) => body.includes(want.join(id)));
  }
}

/** The id in an answer; empty when there is none. */
export function idOf(body: string): string {
  return /"id":\s*(\d+)/.exec(body)?.[1] ?? '';
}
