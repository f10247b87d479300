// One execution: how far it is, who got the message, and the way to send it to those who did not.

import { Button, Flex, Heading, HStack, Text } from "@chakra-ui/react";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useParams } from "react-router-dom";
import type { ExecutionAnswer } from "../../api/client";
import { moves, QUICK, REFRESH, useDeliveries, useExecution, useRights } from "../../api/queries";
import { logScreen, runScreen, screen } from "../../app/places";
import { FilterBar, TextFilter, WordFilter } from "../../components/list";
import { Moment } from "../../components/moment";
import { Empty, Refusal, Waiting } from "../../components/notices";
import { Pages } from "../../components/pages";
import { Fact, Facts } from "../../components/part";
import { Course, State } from "../../components/state";
import { useFilters } from "../../components/urlState";
import { Way } from "../../components/way";
import { Csv } from "../deliveries/Csv";
import { DeliveryList } from "../deliveries/DeliveryList";
import { DELIVERY_STATES } from "../deliveries/states";
import { Redrive } from "./Redrive";
import "./words";

const NAMES = ["search", "state"] as const;

export default function Execution() {
  const { execution: id } = useParams();
  const { data: execution, error, refetch } = useExecution(id);
  if (error) return <Refusal error={error} again={() => void refetch()} />;
  if (!execution) return <Waiting />;
  return (
    <Flex direction="column" gap={4}>
      <Standing of={execution} />
      <Recipients of={execution} />
    </Flex>
  );
}

/** Where an execution stands, and what can be done about it. */
export function Standing({ of }: { of: ExecutionAnswer }) {
  const { t } = useTranslation();
  const rights = useRights(of.task);
  const [asking, setAsking] = useState(false);
  const left = of.failed + of.unknown;
  const facts: [string, ReactNode][] = [
    [t("execution.facts.total"), of.total],
    [t("execution.facts.delivered"), of.delivered],
    [t("execution.facts.source"), [t(`source.${of.source}`), of.triggered_by].filter(Boolean).join(" · ")],
    [t("execution.facts.scheduled"), <Moment key="scheduled" at={of.scheduled_for} />],
    [t("execution.facts.begun"), <Moment key="begun" at={of.begun_at} />],
    [t("execution.facts.started"), <Moment key="started" at={of.started_at} />],
    [t("execution.facts.ended"), <Moment key="ended" at={of.finished_at} />],
  ];
  return (
    <Flex direction="column" gap={3}>
      <HStack wrap="wrap" gap={3}>
        <Heading as="h2" size="md" overflowWrap="anywhere">
          {t("execution.title", { id: of.id, task: of.task })}
        </Heading>
        <State of={of.state} />
        <Course of={of} />
      </HStack>
      {of.error && (
        <Text as="bdi" color="fg.error" whiteSpace="pre-wrap" overflowWrap="anywhere">
          {of.error}
        </Text>
      )}
      <HStack wrap="wrap">
        <Way to={screen(`tasks/${of.task}`)}>{t("field.task")}</Way>
        {of.run_id === null && (
          <Text fontSize="sm" color="fg.muted">
            {t("execution.noRun")}
          </Text>
        )}
        {of.run_id !== null && of.links.run !== null && (
          <>
            <Way to={runScreen(of.task, of.run_id)}>{t("do.openRun")}</Way>
            <Way to={logScreen(of.task, of.run_id)}>{t("do.log")}</Way>
          </>
        )}
        {left > 0 && !moves(of) && rights.may("run") && (
          <Button size="sm" onClick={() => setAsking(true)}>
            {t("execution.redrive")}
          </Button>
        )}
      </HStack>
      <Facts>
        {facts.map(([name, value]) => (
          <Fact key={name} name={name}>
            {value}
          </Fact>
        ))}
      </Facts>
      <Redrive of={of} open={asking} onClose={() => setAsking(false)} />
    </Flex>
  );
}

/** The deliveries of an execution. */
export function Recipients({ of }: { of: ExecutionAnswer }) {
  const { t } = useTranslation();
  const { filters, limit, offset, set, clear, active } = useFilters(NAMES);
  const wanted = { ...filters, execution: of.id };
  const found = useDeliveries({ ...wanted, limit, offset }, moves(of) ? QUICK : REFRESH);
  return (
    <Flex direction="column">
      <FilterBar onClear={active ? clear : undefined}>
        <TextFilter label={t("deliveries.search")} least={3} value={filters.search ?? ""} onChange={(search) => set({ search })} />
        <WordFilter kind="status" words={DELIVERY_STATES} value={filters.state ?? ""} onChange={(state) => set({ state })} />
        <Csv of={wanted} />
      </FilterBar>
      <Pages of={found} at={{ limit, offset, set }} empty={<Empty title={t("execution.noDeliveries")} />}>
        {(rows) => <DeliveryList rows={rows} task={false} execution={false} />}
      </Pages>
    </Flex>
  );
}
