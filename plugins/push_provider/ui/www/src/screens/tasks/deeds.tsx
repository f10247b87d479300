// Doing something with one push task: the question before it, and what is said after it.

import { Stack, Text } from "@chakra-ui/react";
import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { useDeleteTask, useTaskDeed, type TaskDeed } from "../../api/queries";
import type { TaskAnswer } from "../../api/client";
import { Confirm } from "../../components/confirm";
import { Foreign } from "../../components/list";
import { say, sayRefused } from "../../components/messages";
import type { Deed } from "./actions";
import { TriggerDialog } from "./trigger";

type Asked = { deed: Exclude<Deed, "pause" | "resume">; task: TaskAnswer };

type Deeds = { begin: (deed: Deed, task: TaskAnswer) => void; dialogs: ReactNode };

/** Deeds to begin, and their dialogs, which the screen must show. */
export function useDeeds(onDeleted?: () => void): Deeds {
  const { t } = useTranslation();
  // What was asked stays while its dialog closes.
  const [asked, setAsked] = useState<Asked | null>(null);
  const [open, setOpen] = useState(false);
  const close = () => setOpen(false);
  const change = useTaskDeed();
  const remove = useDeleteTask((code) => {
    say(t("tasks.did.delete"), code);
    onDeleted?.();
  });

  const doNow = (deed: TaskDeed, { code, name }: TaskAnswer) =>
    change.mutate(
      { code, deed },
      { onSuccess: () => say(t(`tasks.did.${deed}`), name), onError: sayRefused, onSettled: close },
    );
  const begin = (deed: Deed, task: TaskAnswer) => {
    if (deed === "pause" || deed === "resume") return doNow(deed, task);
    setAsked({ deed, task });
    setOpen(true);
  };

  if (asked === null) return { begin, dialogs: null };
  const { deed, task } = asked;
  if (deed === "trigger") return { begin, dialogs: <TriggerDialog open={open} task={task} onClose={close} /> };
  // What has a log is deleted with it or not at all: that is another question.
  const purge = task.executions > 0;
  const ask = deed === "delete" && purge ? "purge" : deed;
  const confirm = () =>
    deed === "delete"
      ? remove.mutate({ code: task.code, purge }, { onError: sayRefused, onSettled: close })
      : doNow(deed, task);
  const dialogs = (
    <Confirm
      open={open}
      title={t(`tasks.ask.${ask}`)}
      confirm={t(`tasks.ask.${ask}Yes`)}
      doing={change.isPending || remove.isPending}
      onConfirm={confirm}
      onClose={close}
    >
      <Stack gap={2}>
        <Foreign>{task.name}</Foreign>
        <Text>{t(`tasks.ask.${ask}Body`, { count: task.executions })}</Text>
      </Stack>
    </Confirm>
  );
  return { begin, dialogs };
}
