// Channels with a form nicer than the one that their fields' schemas give. All others have that one.

import type { ChannelForm } from "./channelForm";
import { emailForm } from "./email";
import { smsForm } from "./sms";

const FORMS: Record<string, ChannelForm> = { email: emailForm, sms: smsForm };

export function formOf(channel: string): ChannelForm {
  return (
    FORMS[channel] ?? {
      handles: [],
      Fields: null,
      read: () => ({}),
      write: () => ({}),
      ready: () => true,
      place: (name) => `own.${channel}.${name}`,
    }
  );
}
