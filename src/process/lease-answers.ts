import type { LimitMode } from '../core/limit.ts';
import type { LeaseAnswers, SlotAnswer } from '../limit/lease-port.ts';

/**
 * Answers on their way from the primary to a worker, little endian: stamp f64, sent f64, then records of slot u32, generation
 * u16, granted u32, left u32, wait in ms f64, mode u8. Read twice: the sync thread looks for the grants only.
 */
const HEAD_BYTES = 16;
const ANSWER_BYTES = 23;
const MAX_U32 = 0xffffffff;

const MODES: readonly LimitMode[] = ['remote', 'local', 'closed', 'open'];

/** Adds tokens to a slot, if the generation is still its own. */
export type Grant = (slot: number, generation: number, tokens: number) => void;

/** The answers in bytes, with `before` bytes left free in front. */
export function writeAnswers({ stamp, sentMs, answers }: LeaseAnswers, before: number): Buffer {
  const bytes = Buffer.allocUnsafe(before + HEAD_BYTES + answers.length * ANSWER_BYTES);
  bytes.writeDoubleLE(stamp, before);
  bytes.writeDoubleLE(sentMs, before + 8);
  let at = before + HEAD_BYTES;
  for (const answer of answers) {
    bytes.writeUInt32LE(answer.slot, at);
    bytes.writeUInt16LE(answer.generation, at + 4);
    bytes.writeUInt32LE(answer.granted, at + 6);
    bytes.writeUInt32LE(Math.min(Math.max(0, Math.floor(answer.left)), MAX_U32), at + 10);
    bytes.writeDoubleLE(answer.waitMs, at + 14);
    bytes[at + 22] = MODES.indexOf(answer.mode);
    at += ANSWER_BYTES;
  }
  return bytes;
}

/** False when it is no frame of answers; nothing is granted then. */
export function applyGrants(frame: Uint8Array, grant: Grant): boolean {
  if (!isFrame(frame)) return false;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  for (let at = HEAD_BYTES; at < frame.length; at += ANSWER_BYTES) {
    const granted = view.getUint32(at + 6, true);
    if (granted > 0) grant(view.getUint32(at, true), view.getUint16(at + 4, true), granted);
  }
  return true;
}

/** Null when any of it is not ours. */
export function readAnswers(frame: Uint8Array): LeaseAnswers | null {
  if (!isFrame(frame)) return null;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const answers: SlotAnswer[] = [];
  for (let at = HEAD_BYTES; at < frame.length; at += ANSWER_BYTES) {
    const mode = MODES[view.getUint8(at + 22)];
    const waitMs = view.getFloat64(at + 14, true);
    if (mode === undefined || !(waitMs >= 0)) return null;
    answers.push({
      slot: view.getUint32(at, true),
      generation: view.getUint16(at + 4, true),
      granted: view.getUint32(at + 6, true),
      left: view.getUint32(at + 10, true),
      waitMs,
      mode,
    });
  }
  return { stamp: view.getFloat64(0, true), sentMs: view.getFloat64(8, true), answers };
}

function isFrame(frame: Uint8Array): boolean {
  return frame.length >= HEAD_BYTES && (frame.length - HEAD_BYTES) % ANSWER_BYTES === 0;
}
