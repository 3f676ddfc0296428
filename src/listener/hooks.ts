/** What a listener tells about itself; every part is optional. */
export interface ListenerHooks {
  /** A programmer error that was caught: the request it belonged to got a 500 or was cut off. */
  readonly failed?: (error: unknown) => void;
  /** The certificate was reloaded (null), or could not be (the old one stays in use). */
  readonly certificateReloaded?: (error: Error | null) => void;
}
