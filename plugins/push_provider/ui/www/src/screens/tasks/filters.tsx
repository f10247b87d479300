// The filters of the task list: those of the original system, and a search.

import { useTranslation } from "react-i18next";
import { ChoiceFilter, FilterBar, MomentFilter, TextFilter } from "../../components/list";
import type { Filters } from "../../components/urlState";
import { useChannelNames } from "./channels";

/** Their names, as the API and the address have them. */
export const FILTERS = [
  "search",
  "status",
  "channel",
  "execution_type",
  "delayed",
  "sender",
  "recipient",
  "last_run_from",
  "last_run_to",
] as const;
const STATUSES = ["pending", "running", "active", "paused", "finished", "failed", "cancelled"];

type TaskFiltersProps = {
  filters: Filters;
  set: (change: Record<string, string>) => void;
  onClear: (() => void) | undefined;
};

export function TaskFilters({ filters, set, onClear }: TaskFiltersProps) {
  const { t } = useTranslation();
  const channels = useChannelNames();
  const of = (name: (typeof FILTERS)[number]) => ({
    value: filters[name] ?? "",
    onChange: (value: string) => set({ [name]: value }),
  });
  return (
    <FilterBar onClear={onClear}>
      <TextFilter label={t("tasks.filter.search")} {...of("search")} w="16rem" />
      <ChoiceFilter
        label={t("status.label")}
        {...of("status")}
        options={STATUSES.map((value) => ({ value, label: t(`status.${value}`) }))}
      />
      <ChoiceFilter label={t("channel.label")} {...of("channel")} options={channels.options} />
      <ChoiceFilter
        label={t("tasks.filter.type")}
        {...of("execution_type")}
        options={["once", "loop"].map((value) => ({ value, label: t(`tasks.type.${value}`) }))}
      />
      <ChoiceFilter
        label={t("tasks.filter.delayed")}
        {...of("delayed")}
        options={[
          { value: "true", label: t("field.yes") },
          { value: "false", label: t("field.no") },
        ]}
      />
      <TextFilter label={t("tasks.filter.sender")} {...of("sender")} />
      <TextFilter label={t("field.recipient")} {...of("recipient")} />
      <MomentFilter label={t("tasks.filter.lastFrom")} {...of("last_run_from")} />
      <MomentFilter label={t("tasks.filter.lastTo")} {...of("last_run_to")} />
    </FilterBar>
  );
}
