// The task list.

import { Box, Button, Flex } from "@chakra-ui/react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { useRights, useTasks } from "../../api/queries";
import { screen } from "../../app/places";
import { List, Pager } from "../../components/list";
import { Empty, Refusal, Waiting } from "../../components/notices";
import { useFilters } from "../../components/urlState";
import { Bulk } from "./bulk";
import { useTaskColumns } from "./columns";
import { useDeeds } from "./deeds";
import { FILTERS, TaskFilters } from "./filters";
import "./words";

const NEWEST = "-created_at";
const ORDER = ["order_by"] as const;

export default function Tasks() {
  const { t } = useTranslation();
  const { may } = useRights();
  const { filters, limit, offset, set, clear, active } = useFilters(FILTERS);
  const order = useFilters(ORDER).filters.order_by || NEWEST;
  const { data, error, isPlaceholderData, refetch } = useTasks({ ...filters, order_by: order, limit, offset });
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const { begin, dialogs } = useDeeds();
  const columns = useTaskColumns(begin);
  const many = may("edit") || may("run") || may("delete");

  const empty = data !== undefined && !isPlaceholderData && data.items.length === 0;
  const none = empty && !active && offset === 0;
  // The last one of the last page was deleted, or the address names a page that there is no more.
  const beyond = empty && offset > 0;
  useEffect(() => {
    if (beyond) set({ offset: Math.max(offset - limit, 0) });
  }, [beyond, limit, offset, set]);

  const newTask = may("edit") && (
    <Button asChild size="sm" colorPalette="brand">
      <Link to={screen("tasks/new")}>{t("tasks.new")}</Link>
    </Button>
  );
  return (
    <Box>
      {newTask && !none && (
        <Flex justify="end" mb={2}>
          {newTask}
        </Flex>
      )}
      <TaskFilters filters={filters} set={set} onClear={active ? clear : undefined} />
      <Bulk chosen={chosen} onChosen={setChosen} />
      {error && <Refusal error={error} again={() => void refetch()} />}
      {data === undefined && !error && <Waiting />}
      {data !== undefined && data.items.length > 0 && (
        <Box opacity={isPlaceholderData ? 0.6 : 1} aria-busy={isPlaceholderData}>
          <List
            label={t("screens.tasks")}
            columns={columns}
            rows={data.items}
            rowKey={({ code }) => code}
            rowName={({ name }) => name}
            order={order}
            onOrder={(order_by) => set({ order_by })}
            {...(many ? { chosen, onChosen: setChosen } : {})}
          />
          <Pager
            total={data.total_entries}
            exact={data.total_is_exact}
            limit={limit}
            offset={offset}
            onPage={(change) => set(change, false)}
          />
        </Box>
      )}
      {empty && active && !beyond && <Empty title={t("list.empty")}>{t("tasks.empty.filtered")}</Empty>}
      {none && (
        <Empty title={t("tasks.empty.title")}>
          {t("tasks.empty.next")}
          <Box mt={3}>{newTask || t("tasks.empty.read")}</Box>
        </Empty>
      )}
      {dialogs}
    </Box>
  );
}
