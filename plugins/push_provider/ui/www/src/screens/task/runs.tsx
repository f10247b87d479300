// The last executions of a push task; while one sends, its bar moves.

import { Box, Flex, Link as Looks, Text } from "@chakra-ui/react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import type { ExecutionAnswer, TaskDetail } from "../../api/client";
import { moves, QUICK, REFRESH, useExecutions } from "../../api/queries";
import { runScreen, screen } from "../../app/places";
import { Foreign, List, type Column } from "../../components/list";
import { Moment } from "../../components/moment";
import { Refusal, Waiting } from "../../components/notices";
import { Course, State } from "../../components/state";
import { Part } from "../../components/part";

const SHOWN = 10;

export function Runs({ task, mayTrigger }: { task: TaskDetail; mayTrigger: boolean }) {
  const { t } = useTranslation();
  const [moving, setMoving] = useState(false);
  const { data, error, refetch } = useExecutions({ task: task.code, limit: SHOWN }, moving ? QUICK : REFRESH);
  useEffect(() => setMoving(data?.items.some(moves) ?? false), [data]);

  const columns: Column<ExecutionAnswer>[] = [
    {
      name: "number",
      title: t("task.run.number"),
      cell: ({ id, number }) => (
        <Looks asChild variant="underline">
          <Link to={screen(`executions/${id}`)}>{number ?? t("task.refused")}</Link>
        </Looks>
      ),
    },
    { name: "state", title: t("task.run.state"), cell: ({ state }) => <State of={state} /> },
    { name: "course", title: t("task.run.course"), cell: (execution) => <Course of={execution} /> },
    { name: "begun", title: t("task.run.begun"), cell: ({ begun_at: at }) => <Moment at={at} /> },
    {
      name: "source",
      title: t("task.run.source"),
      cell: ({ source, triggered_by: by }) => (
        <>
          {t(`source.${source}`, source)}
          {by && <Foreign lines={1}>{by}</Foreign>}
        </>
      ),
    },
    { name: "error", title: t("task.run.error"), cell: ({ error: said }) => <Foreign>{said}</Foreign> },
    {
      name: "run",
      title: t("field.actions"),
      cell: ({ task: code, run_id: run, links }) =>
        run &&
        links.run && (
          <Looks asChild variant="underline" whiteSpace="nowrap">
            <Link to={runScreen(code, run)}>{t("do.openRun")}</Link>
          </Looks>
        ),
    },
  ];
  const query = `task=${encodeURIComponent(task.code)}`;
  return (
    <Part title={t("task.runs")}>
      {error && <Refusal error={error} again={() => void refetch()} />}
      {data === undefined && !error && <Waiting />}
      {data?.items.length === 0 && (
        <Box color="fg.muted">
          <Text>{t("task.noRuns")}</Text>
          {mayTrigger && <Text>{t("task.noRunsTrigger")}</Text>}
        </Box>
      )}
      {data !== undefined && data.items.length > 0 && (
        <>
          <List label={t("task.runs")} columns={columns} rows={data.items} rowKey={({ id }) => String(id)} />
          <Flex gap={4} mt={2} wrap="wrap" fontSize="sm">
            <Looks asChild variant="underline">
              <Link to={screen(`executions?${query}`)}>{t("task.allRuns")}</Link>
            </Looks>
            <Looks asChild variant="underline">
              <Link to={screen(`deliveries?${query}`)}>{t("task.allDeliveries")}</Link>
            </Looks>
          </Flex>
        </>
      )}
    </Part>
  );
}
