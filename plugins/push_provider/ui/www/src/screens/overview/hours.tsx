// The last 24 hours by channel: a chart, and its figures as a table for those who do not see it.

import { Box, Button, Link as Looks, Table, VisuallyHidden } from "@chakra-ui/react";
import { lazy, Suspense, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { useRights, useStats } from "../../api/queries";
import { screen } from "../../app/places";
import { zone } from "../../components/moment";
import { Empty, Refusal, Waiting } from "../../components/notices";
import { Part } from "../../components/part";
import { useChannelNames } from "../tasks/channels";
import { channelsOf, rowsOf, type Row } from "./figures";
import "../tasks/words";

// The library draws nothing before the figures are there, and is as large as all else of the page.
const Chart = lazy(() => import("./chart"));
const HEIGHT = "16rem";
const HEADS = ["overview.hour", "channel.label", "overview.deliveries", "overview.sent", "overview.failed"] as const;

export function Hours() {
  const { t, i18n } = useTranslation();
  const { may } = useRights();
  const { nameOf } = useChannelNames();
  const { data, error, refetch } = useStats({});
  const rows = useMemo(() => (data === undefined ? [] : rowsOf(data)), [data]);
  const channels = useMemo(() => channelsOf(data?.items ?? []), [data]);
  const clock = useMemo(
    () =>
      new Intl.DateTimeFormat(i18n.language, {
        timeZone: zone(),
        hour: "2-digit",
        minute: "2-digit",
        hourCycle: "h23",
      }),
    [i18n.language],
  );
  const label = ({ hour }: Row) => clock.format(hour);
  return (
    <Part level="h2" title={t("overview.hours")}>
      {error && <Refusal error={error} again={() => void refetch()} />}
      {data === undefined && !error && <Waiting />}
      {data?.items.length === 0 && (
        <Empty title={t("overview.nothing")}>
          {t("overview.nothingNext")}
          <Box mt={3}>
            {may("edit") ? (
              <Button asChild size="sm" colorPalette="brand">
                <Link to={screen("tasks/new")}>{t("tasks.new")}</Link>
              </Button>
            ) : (
              <Looks asChild variant="underline">
                <Link to={screen("tasks")}>{t("overview.toTasks")}</Link>
              </Looks>
            )}
          </Box>
        </Empty>
      )}
      {channels.length > 0 && (
        <>
          <Box h={HEIGHT} position="relative" minW={0}>
            <Suspense fallback={<Waiting />}>
              <Chart rows={rows} channels={channels} label={label} nameOf={nameOf} />
            </Suspense>
          </Box>
          <VisuallyHidden asChild>
            <div>
              <Table.Root>
                <Table.Caption>{t("overview.hoursTable")}</Table.Caption>
                <Table.Header>
                  <Table.Row>
                    {HEADS.map((key) => (
                      <Table.ColumnHeader key={key} scope="col">
                        {t(key)}
                      </Table.ColumnHeader>
                    ))}
                  </Table.Row>
                </Table.Header>
                <Table.Body>
                  {rows.flatMap((row) =>
                    [...row.of.values()].map((item) => (
                      <Table.Row key={`${item.hour} ${item.channel}`}>
                        <Table.Cell>{label(row)}</Table.Cell>
                        <Table.Cell>{nameOf(item.channel)}</Table.Cell>
                        <Table.Cell>{item.deliveries}</Table.Cell>
                        <Table.Cell>{item.sent}</Table.Cell>
                        <Table.Cell>{item.failed}</Table.Cell>
                      </Table.Row>
                    )),
                  )}
                </Table.Body>
              </Table.Root>
            </div>
          </VisuallyHidden>
        </>
      )}
    </Part>
  );
}
