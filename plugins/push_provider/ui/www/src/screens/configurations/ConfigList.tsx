// The sender configurations of each channel.

import { Button, Flex, Heading, Link as Anchor, Stack, Text } from "@chakra-ui/react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import type { Config, Schemas } from "../../api/client";
import { useChannels, useConfigs, useDeleteConnection, useRights } from "../../api/queries";
import { screen } from "../../app/places";
import { Confirm } from "../../components/confirm";
import { type Column, Foreign, List } from "../../components/list";
import { say, sayRefused } from "../../components/messages";
import { Empty, Refusal, Waiting } from "../../components/notices";
import { DefaultSwitch, EnabledSwitch } from "./switches";
import { Test } from "./Test";

type Channel = Schemas["ChannelAnswer"];

export function ConfigList() {
  const { t } = useTranslation();
  const rights = useRights();
  const channels = useChannels();
  const configs = useConfigs(rights.may("read configurations"));
  const [leaving, setLeaving] = useState<Config | null>(null);
  const broken = channels.error ?? configs.error;
  if (channels.data === undefined || configs.data === undefined) {
    if (broken === null) return <Waiting />;
    return <Refusal error={broken} again={() => void Promise.all([channels.refetch(), configs.refetch()])} />;
  }
  const { items } = configs.data;
  return (
    <Stack gap={6}>
      <Text color="fg.muted">{t("configurations.intro")}</Text>
      {broken !== null && <Refusal error={broken} />}
      {channels.data.items.map((channel) => (
        <OfChannel
          key={channel.name}
          channel={channel}
          configs={items.filter((config) => config.channel === channel.name)}
          onDelete={setLeaving}
        />
      ))}
      <DeleteQuestion config={leaving} onClose={() => setLeaving(null)} />
    </Stack>
  );
}

type OfChannelProps = { channel: Channel; configs: Config[]; onDelete: (config: Config) => void };

function OfChannel({ channel, configs, onDelete }: OfChannelProps) {
  const { t } = useTranslation();
  const rights = useRights();
  const edits = rights.may("edit configurations");
  const name = t(`channel.${channel.name}`, channel.label);
  const hasForm = (config: Config) => channel.connection_types.some((type) => type.name === config.type);
  const columns: Column<Config>[] = [
    { name: "id", title: t("configurations.id"), cell: (config) => <Named config={config} /> },
    { name: "service", title: t("configurations.service"), cell: (config) => <Service config={config} /> },
    { name: "sender", title: t("configurations.sender"), cell: (config) => <Sender config={config} /> },
    { name: "enabled", title: t("configurations.enabled"), cell: (config) => <EnabledSwitch config={config} /> },
    { name: "default", title: t("configurations.default"), cell: (config) => <DefaultSwitch config={config} /> },
  ];
  if (rights.may("test configurations")) {
    columns.push({ name: "test", title: t("configurations.test"), cell: (config) => <Test config={config} /> });
  }
  if (edits) {
    columns.push({
      name: "actions",
      title: t("field.actions"),
      cell: (config) => <Actions config={config} hasForm={hasForm(config)} onDelete={() => onDelete(config)} />,
    });
  }
  return (
    <Stack as="section" aria-label={name} gap={2} data-channel={channel.name}>
      <Flex justify="space-between" align="center" wrap="wrap" gap={2}>
        <Heading as="h2" size="md">
          {name}
        </Heading>
        {edits && (
          <Flex gap={2} wrap="wrap">
            {channel.connection_types.map((type) => (
              <Button key={type.name} asChild size="sm" variant="outline">
                <Link to={screen(`configurations/new/${encodeURIComponent(type.name)}`)}>
                  {t("configurations.add", { type: type.label })}
                </Link>
              </Button>
            ))}
          </Flex>
        )}
      </Flex>
      {configs.length === 0 ? (
        <Empty title={t("configurations.none", { channel: name })}>
          {t(edits ? "configurations.noneAdd" : "configurations.noneAsk")}
        </Empty>
      ) : (
        <List label={name} columns={columns} rows={configs} rowKey={(config) => config.id} />
      )}
    </Stack>
  );
}

function Named({ config }: { config: Config }) {
  return (
    <>
      <Text as="bdi" display="block" fontWeight="medium" overflowWrap="anywhere" minW="8rem">
        {config.id}
      </Text>
      {config.description && (
        <Text as="div" fontSize="xs" color="fg.muted">
          <Foreign>{config.description}</Foreign>
        </Text>
      )}
    </>
  );
}

const said = (config: Config, name: string): string => String(config.settings[name] ?? "");

/** Who carries the messages: a mail service or server, or the signature and template that an SMS account has. */
function Service({ config }: { config: Config }) {
  const server = config.host ? `${config.host}${config.port === null ? "" : `:${config.port}`}` : "";
  const lines = [said(config, "service"), server, said(config, "sign_name"), said(config, "template_code")];
  return <Lines of={lines} />;
}

function Sender({ config }: { config: Config }) {
  const shown = said(config, "from_email");
  return <Lines of={[config.sender ?? "", shown === config.sender ? "" : shown, said(config, "from_name")]} />;
}

function Lines({ of }: { of: string[] }) {
  const [first, ...rest] = of.filter((line) => line !== "");
  return (
    <>
      <Foreign>{first}</Foreign>
      {rest.length > 0 && (
        <Text as="div" fontSize="xs" color="fg.muted">
          <Foreign>{rest.join(" · ")}</Foreign>
        </Text>
      )}
    </>
  );
}

type ActionsProps = { config: Config; hasForm: boolean; onDelete: () => void };

function Actions({ config, hasForm, onDelete }: ActionsProps) {
  const { t } = useTranslation();
  return (
    <Flex gap={2} align="center">
      {hasForm ? (
        <Button asChild size="xs" variant="outline">
          <Link
            to={screen(`configurations/${encodeURIComponent(config.id)}/edit`)}
            aria-label={t("configurations.editOne", { id: config.id })}
          >
            {t("do.edit")}
          </Link>
        </Button>
      ) : (
        <Anchor asChild fontSize="xs" textDecoration="underline">
          <Link to="/connections">{t("configurations.elsewhere")}</Link>
        </Anchor>
      )}
      <Button
        size="xs"
        variant="outline"
        colorPalette="red"
        aria-label={t("configurations.deleteOne", { id: config.id })}
        onClick={onDelete}
      >
        {t("do.delete")}
      </Button>
    </Flex>
  );
}

function DeleteQuestion({ config, onClose }: { config: Config | null; onClose: () => void }) {
  const { t } = useTranslation();
  const remove = useDeleteConnection();
  const confirmed = () => {
    if (config === null) return;
    remove.mutate(config.id, {
      onSuccess: () => say(t("configurations.deleted", { id: config.id })),
      onError: sayRefused,
      onSettled: onClose,
    });
  };
  return (
    <Confirm
      open={config !== null}
      title={t("configurations.deleteAsk", { id: config?.id ?? "" })}
      doing={remove.isPending}
      confirm={t("do.delete")}
      onConfirm={confirmed}
      onClose={onClose}
    >
      <Text>{t("configurations.deleteText")}</Text>
      {config?.is_default && <Text mt={2}>{t("configurations.deleteDefault")}</Text>}
    </Confirm>
  );
}
