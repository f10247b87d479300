// The whole story of one delivery.

import { CloseButton, DataList, Drawer, HStack, Portal, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { DeliveryAnswer } from "../../api/client";
import { useExecution } from "../../api/queries";
import { logScreen, runScreen, screen } from "../../app/places";
import { Moment } from "../../components/moment";
import { State } from "../../components/state";
import { Way } from "../../components/way";

export function Story({ of, onClose }: { of: DeliveryAnswer | undefined; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Drawer.Root open={of !== undefined} onOpenChange={({ open }) => !open && onClose()} size="md" lazyMount unmountOnExit>
      <Portal>
        <Drawer.Backdrop />
        <Drawer.Positioner>
          <Drawer.Content>
            <Drawer.Header>
              <Drawer.Title>{t("deliveries.story", { id: of?.id ?? "" })}</Drawer.Title>
            </Drawer.Header>
            <Drawer.Body>{of && <Facts of={of} />}</Drawer.Body>
            <Drawer.CloseTrigger asChild>
              <CloseButton size="sm" aria-label={t("do.close")} />
            </Drawer.CloseTrigger>
          </Drawer.Content>
        </Drawer.Positioner>
      </Portal>
    </Drawer.Root>
  );
}

function Facts({ of }: { of: DeliveryAnswer }) {
  const { t } = useTranslation();
  const { data: execution } = useExecution(String(of.execution));
  const error = [of.error_code, of.error_text].filter(Boolean).join(": ");
  const facts: [string, ReactNode][] = [
    [t("field.recipient"), <bdi key="to">{of.recipient}</bdi>],
    [t("status.label"), <State key="state" of={of.state} />],
    [t("deliveries.attempts"), of.attempts],
    [t("deliveries.created"), <Moment key="created" at={of.created_at} />],
    [t("deliveries.sent"), <Moment key="sent" at={of.sent_at} />],
    [t("deliveries.received"), <Moment key="received" at={of.received_at} />],
    [t("deliveries.updated"), <Moment key="updated" at={of.updated_at} />],
    [t("deliveries.messageId"), of.message_id ?? "–"],
    [t("deliveries.why"), error === "" ? t("deliveries.noError") : <bdi key="why">{error}</bdi>],
    [t("field.task"), of.task],
  ];
  return (
    <>
      <DataList.Root orientation="vertical" gap={3}>
        {facts.map(([label, value]) => (
          <DataList.Item key={label}>
            <DataList.ItemLabel>{label}</DataList.ItemLabel>
            <DataList.ItemValue>
              <Text as="div" overflowWrap="anywhere" whiteSpace="pre-wrap" minW={0}>
                {value}
              </Text>
            </DataList.ItemValue>
          </DataList.Item>
        ))}
      </DataList.Root>
      <HStack mt={5} wrap="wrap">
        <Way to={screen(`executions/${of.execution}`)}>{t("deliveries.openExecution", { id: of.execution })}</Way>
        {execution?.run_id && execution.links.run && <Way to={runScreen(of.task, execution.run_id)}>{t("do.openRun")}</Way>}
        {execution?.run_id && execution.links.run && <Way to={logScreen(of.task, execution.run_id)}>{t("deliveries.logOf")}</Way>}
      </HStack>
    </>
  );
}
