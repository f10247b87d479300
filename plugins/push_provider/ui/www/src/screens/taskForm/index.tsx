// A new push task, one that is changed, or a copy of one.

import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useParams, useSearchParams } from "react-router-dom";
import { useChannels, useConfigs, useMe, useRights, useStoredTask } from "../../api/queries";
import { Empty, Refusal, Waiting } from "../../components/notices";
import { draftOf } from "./draft";
import { asCopy, nothing, ofTask } from "./starting";
import { TaskForm } from "./TaskForm";
import type { Spec } from "./values";
import "./words";

export default function TaskFormScreen() {
  const { t } = useTranslation();
  const { code } = useParams();
  const copied = useSearchParams()[0].get("copy") ?? undefined;
  const rights = useRights(code);
  const me = useMe();
  const channels = useChannels();
  const configs = useConfigs(rights.may("read configurations"));
  const existing = code ?? copied;
  const task = useStoredTask(existing);
  const [discarded, setDiscarded] = useState(0);

  const place = code !== undefined ? `edit:${code}` : copied !== undefined ? `copy:${copied}` : "new";
  const user = me.data?.id;
  const starting = useMemo(() => {
    const known = channels.data?.items;
    if (known === undefined || (existing !== undefined && task.data === undefined)) return null;
    if (task.data === undefined) return nothing(known);
    const read = ofTask(task.data.task as Spec, known, t("taskForm.recipients.ofTask"));
    return code === undefined ? asCopy(read, t("taskForm.copyOf", { name: task.data.name })) : read;
  }, [channels.data, task.data, existing, code, t]);
  const draft = useMemo(() => (user === undefined ? null : draftOf(user, place)), [user, place, discarded]);

  const error = me.error ?? channels.error ?? task.error;
  if (error && starting === null) {
    const again = () => void Promise.all([me.refetch(), channels.refetch(), existing !== undefined && task.refetch()]);
    return <Refusal error={error} again={again} />;
  }
  if (rights.known && !rights.may("edit")) return <Empty title={t("fault.forbidden")} />;
  if (user === undefined || starting === null || configs.isLoading) return <Waiting />;
  const title =
    code !== undefined
      ? t("taskForm.titleEdit", { name: task.data?.name.slice(0, 200) })
      : t(copied === undefined ? "taskForm.titleNew" : "taskForm.titleCopy", { name: task.data?.name.slice(0, 200) });
  return (
    <TaskForm
      key={`${place} ${discarded}`}
      title={title}
      code={code}
      channels={channels.data?.items ?? []}
      starting={starting}
      draft={draft}
      user={user}
      place={place}
      onDiscard={() => setDiscarded((times) => times + 1)}
    />
  );
}
