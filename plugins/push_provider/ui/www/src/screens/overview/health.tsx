// The sender configurations: which are enabled, which is the default, and whether they work.

import { Badge, Box, HStack, Link as Looks, Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import type { Config } from "../../api/client";
import { useChannels, useConfigs, useRights } from "../../api/queries";
import { screen } from "../../app/places";
import { Foreign, List, type Column } from "../../components/list";
import { Empty, Refusal, Waiting } from "../../components/notices";
import { Part } from "../../components/part";
import { Test } from "../configurations/Test";
import { useChannelNames } from "../tasks/channels";

export function Health() {
  const { t } = useTranslation();
  const { may } = useRights();
  const { nameOf } = useChannelNames();
  const channels = useChannels().data?.items ?? [];
  const { data, error, refetch } = useConfigs();
  const configs = data?.items ?? [];
  const lacking = channels.filter(
    ({ name }) => !configs.some((one) => one.channel === name && one.is_default && one.enabled),
  );
  const columns: Column<Config>[] = [
    { name: "id", title: t("overview.config"), cell: ({ id }) => <Foreign>{id}</Foreign> },
    { name: "channel", title: t("channel.label"), cell: ({ channel }) => nameOf(channel) },
    { name: "sender", title: t("overview.sender"), wide: true, cell: ({ sender }) => <Foreign>{sender}</Foreign> },
    { name: "state", title: t("overview.health_state"), cell: (config) => <Standing of={config} /> },
    ...(may("test configurations")
      ? [{ name: "test", title: t("overview.test"), cell: (config: Config) => <Test config={config} /> }]
      : []),
  ];
  const toConfigs = (
    <Looks asChild variant="underline" fontSize="sm">
      <Link to={screen("configurations")}>{t("overview.toConfigs")}</Link>
    </Looks>
  );
  return (
    <Part level="h2" title={t("overview.health")}>
      {error && <Refusal error={error} again={() => void refetch()} />}
      {data === undefined && !error && <Waiting />}
      {data !== undefined && configs.length === 0 && (
        <Empty title={t("overview.noConfigs")}>
          {t("overview.noConfigsNext")}
          <Box mt={2}>{toConfigs}</Box>
        </Empty>
      )}
      {configs.length > 0 && (
        <>
          <List label={t("overview.health")} columns={columns} rows={configs} rowKey={({ id }) => id} />
          {lacking.map(({ name }) => (
            <Text key={name} fontSize="sm" color="fg.muted" mt={2}>
              {t("overview.noDefault", { channel: nameOf(name) })}
            </Text>
          ))}
          <Box mt={2}>{toConfigs}</Box>
        </>
      )}
    </Part>
  );
}

function Standing({ of: { enabled, is_default: isDefault } }: { of: Config }) {
  const { t } = useTranslation();
  return (
    <HStack gap={1}>
      <Badge size="sm" variant="surface" colorPalette={enabled ? "green" : "gray"}>
        {t(enabled ? "overview.enabled" : "overview.disabled")}
      </Badge>
      {isDefault && (
        <Badge size="sm" variant="surface" colorPalette="blue">
          {t("overview.default")}
        </Badge>
      )}
    </HStack>
  );
}
