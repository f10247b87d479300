// Deliveries as a list, of whatever part; each opens its whole story.

import { Button } from "@chakra-ui/react";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import type { DeliveryAnswer } from "../../api/client";
import { screen } from "../../app/places";
import { Foreign, List, type Column } from "../../components/list";
import { Moment } from "../../components/moment";
import { State } from "../../components/state";
import { WayInList } from "../../components/way";
import { Story } from "./Story";
import "./words";

type DeliveryListProps = {
  rows: DeliveryAnswer[];
  /** Left out where all are of one. */
  task?: boolean;
  execution?: boolean;
};

export function DeliveryList({ rows, task = true, execution = true }: DeliveryListProps) {
  const { t } = useTranslation();
  const [shown, setShown] = useState<DeliveryAnswer>();
  const columns = useMemo(() => {
    const all: (Column<DeliveryAnswer> | false)[] = [
      {
        name: "recipient",
        title: t("field.recipient"),
        cell: (row) => (
          <Button
            variant="plain"
            size="sm"
            px={0}
            h="auto"
            color="fg.info"
            whiteSpace="normal"
            textAlign="start"
            aria-label={`${row.recipient}: ${t("deliveries.show", { id: row.id })}`}
            onClick={() => setShown(row)}
          >
            <Foreign>{row.recipient}</Foreign>
          </Button>
        ),
      },
      { name: "state", title: t("status.label"), cell: (row) => <State of={row.state} /> },
      task && {
        name: "task",
        title: t("field.task"),
        cell: (row) => <WayInList to={screen(`tasks/${row.task}`)}>{row.task}</WayInList>,
      },
      execution && {
        name: "execution",
        title: t("deliveries.execution"),
        cell: (row) => <WayInList to={screen(`executions/${row.execution}`)}>{row.execution}</WayInList>,
      },
      {
        name: "why",
        title: t("deliveries.why"),
        cell: (row) => <Foreign>{row.error_text ?? row.error_code}</Foreign>,
      },
      { name: "attempts", title: t("deliveries.attempts"), wide: true, cell: (row) => row.attempts },
      {
        name: "messageId",
        title: t("deliveries.messageId"),
        wide: true,
        cell: (row) => <Foreign lines={1}>{row.message_id}</Foreign>,
      },
      { name: "sent", title: t("deliveries.sent"), cell: (row) => <Moment at={row.sent_at} /> },
    ];
    return all.filter((column) => column !== false);
  }, [t, task, execution]);
  return (
    <>
      <List label={t("deliveries.label")} columns={columns} rows={rows} rowKey={(row) => String(row.id)} />
      {/* It may leave the page while its story is read. */}
      <Story of={rows.find(({ id }) => id === shown?.id) ?? shown} onClose={() => setShown(undefined)} />
    </>
  );
}
