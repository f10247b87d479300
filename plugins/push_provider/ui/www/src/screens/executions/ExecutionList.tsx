// Executions as a list, of one push task or of all.

import { useMemo } from "react";
import { useTranslation } from "react-i18next";
import type { ExecutionAnswer } from "../../api/client";
import { screen } from "../../app/places";
import { Foreign, List, type Column } from "../../components/list";
import { Moment } from "../../components/moment";
import { Course, State } from "../../components/state";
import { WayInList } from "../../components/way";
import "./words";

type ExecutionListProps = {
  rows: ExecutionAnswer[];
  /** Left out where all are of one. */
  task?: boolean;
};

export function ExecutionList({ rows, task = true }: ExecutionListProps) {
  const { t } = useTranslation();
  const columns = useMemo(() => {
    const all: (Column<ExecutionAnswer> | false)[] = [
      {
        name: "id",
        title: t("executions.id"),
        cell: (row) => <WayInList to={screen(`executions/${row.id}`)}>{row.id}</WayInList>,
      },
      task && {
        name: "task",
        title: t("field.task"),
        cell: (row) => <WayInList to={screen(`tasks/${row.task}`)}>{row.task}</WayInList>,
      },
      { name: "number", title: t("executions.number"), wide: true, cell: (row) => row.number ?? "–" },
      { name: "state", title: t("status.label"), cell: (row) => <State of={row.state} /> },
      { name: "course", title: t("executions.course"), cell: (row) => <Course of={row} /> },
      { name: "source", title: t("source.label"), cell: (row) => t(`source.${row.source}`) },
      { name: "by", title: t("executions.by"), wide: true, cell: (row) => <Foreign lines={1}>{row.triggered_by}</Foreign> },
      { name: "begun", title: t("executions.begun"), cell: (row) => <Moment at={row.begun_at} /> },
      { name: "finished", title: t("executions.finished"), wide: true, cell: (row) => <Moment at={row.finished_at} /> },
      { name: "why", title: t("executions.why"), cell: (row) => <Foreign>{row.error}</Foreign> },
    ];
    return all.filter((column) => column !== false);
  }, [t, task]);
  return <List label={t("executions.label")} columns={columns} rows={rows} rowKey={(row) => String(row.id)} />;
}
