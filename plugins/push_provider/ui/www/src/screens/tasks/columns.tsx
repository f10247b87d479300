// The columns of the task list: those of the original system.

import { Box, Link as Looks, Stack, Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import type { Config, TaskAnswer } from "../../api/client";
import { configOf, useConfigs, useRights } from "../../api/queries";
import { screen } from "../../app/places";
import { Foreign, type Column } from "../../components/list";
import { Moment } from "../../components/moment";
import { State } from "../../components/state";
import { TaskMenu, type Deed } from "./actions";
import { useChannelNames } from "./channels";
import { scheduleWords } from "./schedule";

/** The configuration of a task: its connection, and the sender that this sends as. */
function Sender({ id, configs }: { id: string | null; configs: Config[] | undefined }) {
  const { t } = useTranslation();
  const sender = configOf(configs, id)?.sender;
  if (id === null) return <Text as="span" color="fg.muted">{t("field.default")}</Text>;
  return (
    <>
      <Foreign lines={1}>{id}</Foreign>
      {sender && <Foreign lines={1}>{sender}</Foreign>}
    </>
  );
}

export function useTaskColumns(onDeed: (deed: Deed, task: TaskAnswer) => void): Column<TaskAnswer>[] {
  const { t, i18n } = useTranslation();
  const { may } = useRights();
  const channels = useChannelNames();
  const configs = useConfigs(may("read configurations")).data?.items;
  return [
    {
      name: "name",
      title: t("tasks.column.name"),
      order: "name",
      cell: (task) => (
        <Stack gap={0} minW="11rem">
          <Looks asChild fontWeight="medium">
            <Link to={screen(`tasks/${task.code}`)}>
              <Foreign>{task.name}</Foreign>
            </Link>
          </Looks>
          <Text as="code" fontSize="xs" color="fg.muted" overflowWrap="anywhere">
            {task.code}
          </Text>
        </Stack>
      ),
    },
    { name: "actions", title: t("field.actions"), cell: (task) => <TaskMenu task={task} onDeed={onDeed} /> },
    { name: "status", title: t("status.label"), cell: (task) => <State of={task.status} /> },
    { name: "channel", title: t("channel.label"), cell: (task) => channels.nameOf(task.channel) },
    {
      name: "config",
      title: t("tasks.column.config"),
      wide: true,
      cell: (task) => <Sender id={task.config} configs={configs} />,
    },
    { name: "type", title: t("tasks.column.type"), wide: true, cell: (task) => t(`tasks.type.${task.execution_type}`) },
    {
      name: "when",
      title: t("tasks.column.when"),
      wide: true,
      cell: (task) => (
        <Box minW="8rem">
          <Foreign>{scheduleWords(t, i18n.language, task.schedule)}</Foreign>
        </Box>
      ),
    },
    {
      name: "delayed",
      title: t("tasks.column.delayed"),
      wide: true,
      cell: (task) => t(task.delayed ? "field.yes" : "field.no"),
    },
    {
      name: "executions",
      title: t("tasks.column.executions"),
      cell: (task) => (
        <Text as="span" whiteSpace="nowrap" fontVariantNumeric="tabular-nums">
          {task.max_executions === null
            ? t("tasks.endless", { count: task.executions })
            : t("tasks.executions", { count: task.executions, max: task.max_executions })}
        </Text>
      ),
    },
    {
      name: "recipients",
      title: t("tasks.column.recipients"),
      wide: true,
      cell: (task) => task.recipients.toLocaleString(i18n.language),
    },
    {
      name: "startedBy",
      title: t("tasks.column.startedBy"),
      wide: true,
      cell: ({ app, owner }) => <Foreign>{[app, owner].filter(Boolean).join(" · ")}</Foreign>,
    },
    {
      name: "last",
      title: t("tasks.column.last"),
      order: "last_execution_at",
      cell: (task) => <Moment at={task.last_execution_at} />,
    },
    { name: "next", title: t("tasks.column.next"), wide: true, cell: (task) => <Moment at={task.next_execution} /> },
    {
      name: "created",
      title: t("tasks.column.created"),
      order: "created_at",
      wide: true,
      cell: (task) => <Moment at={task.created_at} />,
    },
  ];
}
