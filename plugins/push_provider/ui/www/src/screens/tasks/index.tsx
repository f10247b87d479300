// The task list.

import { Box, Button, Flex } from "@chakra-ui/react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { useRights, useTasks } from "../../api/queries";
import { screen } from "../../app/places";
import { List } from "../../components/list";
import { Empty } from "../../components/notices";
import { Pages } from "../../components/pages";
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
  const found = useTasks({ ...filters, order_by: order, limit, offset });
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const { begin, dialogs } = useDeeds();
  const columns = useTaskColumns(begin);
  const many = may("edit") || may("run") || may("delete");

  const none = found.data?.items.length === 0 && !found.isPlaceholderData && !active && offset === 0;

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
      <Pages
        of={found}
        at={{ limit, offset, set }}
        empty={
          active ? (
            <Empty title={t("list.empty")}>{t("tasks.empty.filtered")}</Empty>
          ) : (
            <Empty title={t("tasks.empty.title")}>
              {t("tasks.empty.next")}
              <Box mt={3}>{newTask || t("tasks.empty.read")}</Box>
            </Empty>
          )
        }
      >
        {(rows) => (
          <List
            label={t("screens.tasks")}
            columns={columns}
            rows={rows}
            rowKey={({ code }) => code}
            rowName={({ name }) => name}
            order={order}
            onOrder={(order_by) => set({ order_by })}
            {...(many ? { chosen, onChosen: setChosen } : {})}
          />
        )}
      </Pages>
      {dialogs}
    </Box>
  );
}
