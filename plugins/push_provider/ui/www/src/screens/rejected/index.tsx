// Messages from Kafka that could not be used: why, what they were, and another try.

import "./words";
import { Badge, Button, Flex, Link as Anchor, Stack, Text } from "@chakra-ui/react";
import { useCallback, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { useRights } from "../../api/queries";
import { screen } from "../../app/places";
import {
  ChoiceFilter,
  FilterBar,
  Foreign,
  List,
  MomentFilter,
  TextFilter,
  type Column,
} from "../../components/list";
import { say, sayRefused } from "../../components/messages";
import { Moment } from "../../components/moment";
import { Empty } from "../../components/notices";
import { Pages } from "../../components/pages";
import { useFilters } from "../../components/urlState";
import { type Rejected, useRejected, useReplay } from "./calls";
import { Message } from "./Message";
import { Place } from "./Place";

const FILTERS = ["task", "replayed", "from", "to"] as const;

export default function RejectedMessages() {
  const { t } = useTranslation();
  const mayReplay = useRights().may("run");
  const { filters, limit, offset, set, clear, active } = useFilters(FILTERS);
  const list = useRejected({ ...filters, limit, offset });
  const { replay, replaying } = useReplayWords();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [shown, setShown] = useState<Rejected | null>(null);
  const setTask = useCallback((task: string) => set({ task }), [set]);

  // A message that another page or filter shows is not replayed unseen.
  const ids = (list.data?.items ?? []).filter((row) => chosen.has(String(row.id))).map((row) => row.id);
  const columns = useMemo<Column<Rejected>[]>(() => {
    const all: Column<Rejected>[] = [
      { name: "at", title: t("rejected.at"), cell: (row) => <Moment at={row.rejected_at} /> },
      { name: "reason", title: t("rejected.reason"), cell: (row) => <Foreign lines={4}>{row.reason}</Foreign> },
      { name: "task", title: t("field.task"), cell: (row) => <Of task={row.task} /> },
      { name: "place", title: t("rejected.place"), cell: (row) => <Place of={row} /> },
      { name: "size", title: t("rejected.size"), wide: true, cell: (row) => <Size of={row.size} /> },
      { name: "replayed", title: t("status.label"), cell: (row) => <Standing of={row} /> },
    ];
    all.push({
      name: "actions",
      title: t("field.actions"),
      cell: (row) => (
        <Flex gap={2}>
          <Button
            size="xs"
            variant="outline"
            aria-label={t("rejected.showOne", { id: row.id })}
            onClick={() => setShown(row)}
          >
            {t("rejected.show")}
          </Button>
          {mayReplay && row.replayed_at === null && (
            <Button
              size="xs"
              variant="outline"
              disabled={replaying}
              aria-label={t("rejected.replayOne", { id: row.id })}
              onClick={() => replay([row.id])}
            >
              {t("rejected.replay")}
            </Button>
          )}
        </Flex>
      ),
    });
    return all;
  }, [t, mayReplay, replay, replaying]);

  return (
    <Stack gap={2}>
      <Text color="fg.muted">{t("rejected.intro")}</Text>
      <FilterBar onClear={active ? clear : undefined}>
        <TextFilter label={t("field.code")} value={filters["task"] ?? ""} onChange={setTask} />
        <ChoiceFilter
          label={t("rejected.replayed")}
          value={filters["replayed"] ?? ""}
          onChange={(replayed) => set({ replayed })}
          options={[
            { value: "false", label: t("rejected.replayedNo") },
            { value: "true", label: t("rejected.replayedYes") },
          ]}
        />
        <MomentFilter label={t("field.from")} value={filters["from"] ?? ""} onChange={(from) => set({ from })} />
        <MomentFilter label={t("field.to")} value={filters["to"] ?? ""} onChange={(to) => set({ to })} />
      </FilterBar>
      <Pages of={list} at={{ limit, offset, set }} empty={<Nothing filtered={active} />}>
        {(rows) => (
          <Stack gap={2}>
            {mayReplay && (
              <Flex gap={3} align="center" minH={8}>
                <Text fontSize="sm" role="status">
                  {t("list.chosen", { count: ids.length })}
                </Text>
                {ids.length > 0 && (
                  <Button
                    size="sm"
                    loading={replaying}
                    onClick={() => {
                      replay(ids);
                      setChosen(new Set());
                    }}
                  >
                    {t("rejected.replayChosen", { count: ids.length })}
                  </Button>
                )}
              </Flex>
            )}
            <List
              label={t("rejected.label")}
              columns={columns}
              rows={rows}
              rowKey={(row) => String(row.id)}
              {...(mayReplay ? { chosen, onChosen: setChosen } : {})}
            />
          </Stack>
        )}
      </Pages>
      {shown !== null && <Message of={shown} onClose={() => setShown(null)} />}
    </Stack>
  );
}

/** Replaying, and saying what came of it. */
function useReplayWords() {
  const { t } = useTranslation();
  const { mutate, isPending } = useReplay();
  const replay = useCallback(
    (ids: number[]) =>
      mutate(ids, {
        onSuccess: ({ taken, refusals }) => {
          if (taken > 0) say(t("rejected.taken", { count: taken }));
          if (refusals.length > 0) {
            sayRefused(new Error([t("rejected.still", { count: refusals.length }), ...refusals].join("\n")));
          }
        },
        onError: sayRefused,
      }),
    [mutate, t],
  );
  return { replay, replaying: isPending };
}

function Of({ task }: { task: string | null }) {
  if (task === null) return <Foreign>{task}</Foreign>;
  return (
    <Anchor asChild textDecoration="underline" overflowWrap="anywhere">
      <Link to={screen(`tasks/${encodeURIComponent(task)}`)}>
        <bdi>{task}</bdi>
      </Link>
    </Anchor>
  );
}

function Size({ of }: { of: number | null }) {
  const { t, i18n } = useTranslation();
  return <>{of === null ? t("rejected.nothing") : t("rejected.bytes", { size: of.toLocaleString(i18n.language) })}</>;
}

function Standing({ of }: { of: Rejected }) {
  const { t } = useTranslation();
  const taken = of.replayed_at !== null;
  return (
    <Badge colorPalette={taken ? "green" : "red"} variant="surface" size="sm" whiteSpace="nowrap">
      {t(taken ? "rejected.replayedYes" : "rejected.replayedNo")}
    </Badge>
  );
}

function Nothing({ filtered }: { filtered: boolean }) {
  const { t } = useTranslation();
  if (filtered) return <Empty title={t("list.empty")} />;
  return (
    <Empty title={t("rejected.empty")}>
      {t("rejected.emptyText")}{" "}
      <Anchor asChild textDecoration="underline">
        <Link to={screen("help/kafka")}>{t("rejected.emptyHelp")}</Link>
      </Anchor>
    </Empty>
  );
}
