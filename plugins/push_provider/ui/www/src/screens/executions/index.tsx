// The log: the times that push tasks were carried out.

import { useTranslation } from "react-i18next";
import { useExecutions } from "../../api/queries";
import { FilterBar, MomentFilter, TextFilter, WordFilter } from "../../components/list";
import { Empty } from "../../components/notices";
import { Pages } from "../../components/pages";
import { useFilters } from "../../components/urlState";
import { ExecutionList } from "./ExecutionList";
import "./words";

const NAMES = ["task", "state", "source", "from", "to"] as const;
const STATES = ["planned", "running", "succeeded", "partial", "failed", "cancelled"];
const SOURCES = ["schedule", "manual", "rest", "kafka", "cli", "dag", "backfill"];

export default function Executions() {
  const { t } = useTranslation();
  const { filters, limit, offset, set, clear, active } = useFilters(NAMES);
  const found = useExecutions({ ...filters, limit, offset });
  return (
    <>
      <FilterBar onClear={active ? clear : undefined}>
        <TextFilter label={t("field.code")} value={filters.task ?? ""} onChange={(task) => set({ task })} />
        <WordFilter kind="status" words={STATES} value={filters.state ?? ""} onChange={(state) => set({ state })} />
        <WordFilter kind="source" words={SOURCES} value={filters.source ?? ""} onChange={(source) => set({ source })} />
        <MomentFilter label={t("field.from")} value={filters.from ?? ""} onChange={(from) => set({ from })} />
        <MomentFilter label={t("field.to")} value={filters.to ?? ""} onChange={(to) => set({ to })} />
      </FilterBar>
      <Pages of={found} at={{ limit, offset, set }} empty={<Empty title={t("executions.empty")} />}>
        {(rows) => <ExecutionList rows={rows} />}
      </Pages>
    </>
  );
}
