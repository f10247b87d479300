// The executions that failed last, and why.

import { Box, Link as Looks, Text } from "@chakra-ui/react";
import { useQuery } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { call, type DeliveryPage, type ExecutionAnswer } from "../../api/client";
import { useExecutions } from "../../api/queries";
import { screen } from "../../app/places";
import { Foreign, List, type Column } from "../../components/list";
import { Moment } from "../../components/moment";
import { Refusal, Waiting } from "../../components/notices";
import { Part } from "../../components/part";
import { Course, State } from "../../components/state";

const SHOWN = 6;

export function Failures() {
  const { t } = useTranslation();
  const failed = useExecutions({ state: "failed", limit: SHOWN });
  const partial = useExecutions({ state: "partial", limit: SHOWN });
  const error = failed.error ?? partial.error;
  const known = failed.data !== undefined && partial.data !== undefined;
  const rows = [...(failed.data?.items ?? []), ...(partial.data?.items ?? [])]
    .sort((one, other) => Date.parse(other.begun_at) - Date.parse(one.begun_at))
    .slice(0, SHOWN);
  const columns: Column<ExecutionAnswer>[] = [
    {
      name: "execution",
      title: t("field.task"),
      cell: ({ id, number, task }) => (
        <>
          <Looks asChild variant="underline">
            <Link to={screen(`tasks/${task}`)}>
              <bdi>{task}</bdi>
            </Link>
          </Looks>
          <Box>
            <Looks asChild variant="underline" whiteSpace="nowrap">
              <Link to={screen(`executions/${id}`)}>
                {t("overview.execution", { number: number ?? t("overview.refusedRun") })}
              </Link>
            </Looks>
          </Box>
        </>
      ),
    },
    { name: "state", title: t("status.label"), cell: ({ state }) => <State of={state} /> },
    { name: "course", title: t("overview.course"), cell: (execution) => <Course of={execution} /> },
    { name: "why", title: t("overview.why"), cell: (execution) => <Why of={execution} /> },
    { name: "begun", title: t("overview.begun"), cell: ({ begun_at: at }) => <Moment at={at} /> },
  ];
  return (
    <Part level="h2" title={t("overview.failures")}>
      {error && <Refusal error={error} again={() => void Promise.all([failed.refetch(), partial.refetch()])} />}
      {!known && !error && <Waiting />}
      {known && rows.length === 0 && <Text color="fg.muted">{t("overview.noFailures")}</Text>}
      {rows.length > 0 && (
        <>
          <List label={t("overview.failures")} columns={columns} rows={rows} rowKey={({ id }) => String(id)} />
          <Looks asChild variant="underline" fontSize="sm" mt={2}>
            <Link to={screen("executions?state=failed")}>{t("overview.allFailed")}</Link>
          </Looks>
        </>
      )}
    </Part>
  );
}

/** What the execution says, and if it says nothing, what the first of its deliveries that went wrong says. */
function Why({ of: { id, error, failed } }: { of: ExecutionAnswer }) {
  const { t } = useTranslation();
  const state = failed > 0 ? "failed" : "unknown";
  const { data } = useQuery({
    queryKey: ["why", id, state],
    queryFn: ({ signal }) => call<DeliveryPage>("deliveries", { params: { execution: id, state, limit: 1 }, signal }),
    enabled: !error,
    staleTime: 60_000,
  });
  const delivery = data?.items[0];
  const said = error ?? delivery?.error_text ?? delivery?.error_code;
  if (said) return <Foreign>{said}</Foreign>;
  return (
    <Looks asChild variant="underline">
      <Link to={screen(`deliveries?execution=${id}`)}>{t("overview.whyUnsaid")}</Link>
    </Looks>
  );
}
