// The sender configurations: which are enabled, which is the default, and whether they work.

import { Badge, Box, Button, Heading, HStack, Link as Looks, Text } from "@chakra-ui/react";
import { useMutation } from "@tanstack/react-query";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import type { Config, Problem, Schemas } from "../../api/client";
import { testConfig, useChannels, useConfigs, useRights } from "../../api/queries";
import { screen } from "../../app/places";
import { Foreign, List, type Column } from "../../components/list";
import { wordsOf } from "../../components/messages";
import { Empty, Refusal, Waiting } from "../../components/notices";
import { useChannelNames } from "../tasks/channels";

export function Health() {
  const { t } = useTranslation();
  const title = useId();
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
      ? [{ name: "test", title: t("overview.test"), cell: ({ id }: Config) => <Test id={id} /> }]
      : []),
  ];
  const toConfigs = (
    <Looks asChild variant="underline" fontSize="sm">
      <Link to={screen("configurations")}>{t("overview.toConfigs")}</Link>
    </Looks>
  );
  return (
    <Box as="section" aria-labelledby={title} borderWidth="1px" borderRadius="md" p={{ base: 3, md: 4 }} minW={0}>
      <Heading as="h2" size="sm" id={title} mb={3}>
        {t("overview.health")}
      </Heading>
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
    </Box>
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

/** Tries it as Airflow's own test does, and says what came of it beside the button. */
function Test({ id }: { id: string }) {
  const { t } = useTranslation();
  const test = useMutation<Schemas["TestResult"], Problem, string>({ mutationFn: testConfig });
  const good = test.data?.ok === true;
  const message = test.error ? wordsOf(test.error) : test.data?.message;
  return (
    <Box>
      <Button
        size="xs"
        variant="outline"
        aria-label={t("overview.testName", { name: id })}
        loading={test.isPending}
        onClick={() => test.mutate(id)}
      >
        {t("overview.test")}
      </Button>
      <Box role="status" fontSize="xs" maxW="20rem" color={good ? "green.fg" : "red.fg"} overflowWrap="anywhere">
        {message !== undefined &&
          t(good ? "overview.testGood" : "overview.testBad", { message: message.slice(0, 1_000) })}
      </Box>
    </Box>
  );
}
