// Where a push task stands: how often it was executed, and when it is next.

import { Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import type { TaskDetail } from "../../api/client";
import { Foreign } from "../../components/list";
import { isZone, Moment, spoken, zone } from "../../components/moment";
import { zoneOf } from "../tasks/schedule";
import { Fact, Facts, Part } from "../../components/part";

/** Why there is no next execution. */
function whyNone({ paused, status, max_executions: most, executions, schedule }: TaskDetail): string {
  if (status === "cancelled" || (most !== null && executions >= most)) return "closed";
  if (paused) return "paused";
  return schedule.kind === "manual" ? "manual" : "none";
}

export function Standing({ task }: { task: TaskDetail }) {
  const { t } = useTranslation();
  const { executions: count, max_executions: max } = task;
  return (
    <Part title={t("task.standing")}>
      <Facts>
        <Fact name={t("tasks.column.executions")}>
          {max === null ? t("task.endless", { count }) : t("task.executions", { count, max })}
        </Fact>
        <Fact name={t("tasks.column.next")}>
          {task.next_execution === null ? (
            <Text color="fg.muted">{t(`task.nextNone.${whyNone(task)}`)}</Text>
          ) : (
            <Next at={task.next_execution} itsZone={zoneOf(task.schedule)} />
          )}
        </Fact>
        <Fact name={t("tasks.column.last")}>
          <Moment at={task.last_execution_at} />
        </Fact>
        <Fact name={t("task.field.created")}>
          <Moment at={task.created_at} />
        </Fact>
        <Fact name={t("task.field.updated")}>
          <Moment at={task.updated_at} />
        </Fact>
        {task.retired_at !== null && (
          <Fact name={t("task.field.retired")}>
            <Moment at={task.retired_at} />
          </Fact>
        )}
        <Fact name={t("task.field.app")}>
          <Foreign>{task.app}</Foreign>
        </Fact>
        <Fact name={t("task.field.owner")}>
          <Foreign>{task.owner}</Foreign>
        </Fact>
      </Facts>
    </Part>
  );
}

/** On the user's clock, and on that of the task where it is another one. */
function Next({ at, itsZone }: { at: string; itsZone: string | undefined }) {
  const { t, i18n } = useTranslation();
  // Of a zone that this browser does not know the user's own clock says when.
  const elsewhere = itsZone !== undefined && itsZone !== zone() && isZone(itsZone);
  return (
    <>
      <Moment at={at} />
      {elsewhere && (
        <Text color="fg.muted">
          {t("task.inItsZone", { at: `${spoken(at, i18n.language, itsZone)} (${itsZone})` })}
        </Text>
      )}
    </>
  );
}
