// What a push task does, in words: fields that we know by their names, those of other packages' channels by theirs.

import { Link as Looks, Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import type { TaskDetail } from "../../api/client";
import { useChannels, useRights } from "../../api/queries";
import { screen } from "../../app/places";
import { scheduleWords } from "../tasks/schedule";
import { Fact, Facts, Part } from "../../components/part";
import { Recipients } from "./recipients";
import { isNothing, Value } from "./value";

/** Another package's channel has fields that the schema does not know. */
type Spec = Record<string, unknown>;

/** Fields that stand elsewhere on the screen, or are said in words of their own. */
const SAID = new Set([
  "code",
  "name",
  "channel",
  "category",
  "app",
  "owner",
  "recipients",
  "config",
  "schedule",
  "execution",
  "missed",
  "max_active_runs",
  "on_unknown",
  "retries",
  "retry_delay",
  "variables",
]);

/** The fields that say what is sent: first those that the channel declares, in its order. */
function contentFields(spec: Spec, declared: string[]): string[] {
  const others = Object.keys(spec).filter((name) => !SAID.has(name) && !declared.includes(name));
  return [...declared.filter((name) => !SAID.has(name)), ...others].filter((name) => !isNothing(spec[name]));
}

export function Definition({ task }: { task: TaskDetail }) {
  const { t, i18n } = useTranslation();
  const { may } = useRights();
  const channel = useChannels().data?.items.find(({ name }) => name === task.channel);
  const titles = new Map(channel?.fields.map(({ name, title }) => [name, title]));
  const spec: Spec = task.task;
  const { max_executions: most } = task;
  const retries = Number(spec.retries ?? 0);
  return (
    <Part title={t("task.definition")}>
      <Facts>
        <Fact name={t("task.field.schedule")}>{scheduleWords(t, i18n.language, task.schedule)}</Fact>
        <Fact name={t("task.field.execution")}>
          {task.execution_type === "once"
            ? t("task.once")
            : most === null
              ? t("task.loop")
              : t("task.loopMax", { count: most })}
        </Fact>
        <Fact name={t("task.field.config")}>
          <Configuration id={task.config} linked={may("read configurations")} />
        </Fact>
        <Fact name={t("task.recipients")}>
          <Recipients of={spec.recipients} />
        </Fact>
        {contentFields(spec, [...titles.keys()]).map((name) => (
          <Fact key={name} name={t(`task.field.${name}`, titles.get(name) ?? name)}>
            <Value of={spec[name]} />
          </Fact>
        ))}
        {!isNothing(spec.variables) && (
          <Fact name={t("task.field.variables")}>
            <Value of={spec.variables} />
          </Fact>
        )}
        {typeof spec.category === "string" && (
          <Fact name={t("task.field.category")}>{t(`task.category.${spec.category}`, spec.category)}</Fact>
        )}
        {typeof spec.missed === "string" && (
          <Fact name={t("task.field.missed")}>{t(`task.missed.${spec.missed}`, spec.missed)}</Fact>
        )}
        {typeof spec.on_unknown === "string" && (
          <Fact name={t("task.field.on_unknown")}>{t(`task.unknown.${spec.on_unknown}`, spec.on_unknown)}</Fact>
        )}
        <Fact name={t("task.field.retries")}>
          {retries === 0 ? t("field.none") : t("task.retries", { count: retries, seconds: spec.retry_delay })}
        </Fact>
        {Number(spec.max_active_runs ?? 1) > 1 && (
          <Fact name={t("task.field.max_active_runs")}>{String(spec.max_active_runs)}</Fact>
        )}
      </Facts>
    </Part>
  );
}

function Configuration({ id, linked }: { id: string | null; linked: boolean }) {
  const { t } = useTranslation();
  if (id === null) return <Text color="fg.muted">{t("field.default")}</Text>;
  if (!linked) return <bdi>{id}</bdi>;
  return (
    <Looks asChild variant="underline">
      <Link to={screen("configurations")}>
        <bdi>{id}</bdi>
      </Link>
    </Looks>
  );
}
