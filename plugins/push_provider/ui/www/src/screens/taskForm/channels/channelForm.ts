// What a form of a channel is.

import type { ComponentType } from "react";
import type { FieldPath } from "react-hook-form";
import type { Spec, Values } from "../values";

export type ChannelForm = {
  /** The fields that it shows itself; the others are shown by their schemas. */
  handles: readonly string[];
  Fields: ComponentType | null;
  read: (spec: Spec) => Partial<Values>;
  write: (values: Values) => Record<string, unknown>;
  /** Whether there is enough to show a preview of. */
  ready: (values: Values) => boolean;
  /** Where the API's word on one of its fields stands in the form. */
  place: (name: string) => FieldPath<Values>;
  /** An address for the preview of a task without recipients. */
  example?: string;
};
