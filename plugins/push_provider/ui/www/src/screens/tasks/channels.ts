// The channels' names for people: ours are translated, those of other packages say their own.

import { useTranslation } from "react-i18next";
import { useChannels } from "../../api/queries";

export function useChannelNames() {
  const { t } = useTranslation();
  const { data } = useChannels();
  const channels = data?.items ?? [];
  const nameOf = (channel: string): string =>
    t(`channel.${channel}`, channels.find(({ name }) => name === channel)?.label ?? channel);
  return { nameOf, options: channels.map(({ name }) => ({ value: name, label: nameOf(name) })) };
}
