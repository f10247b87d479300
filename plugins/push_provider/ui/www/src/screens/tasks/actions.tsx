// What can be done with a push task, and the menu of it.

import { IconButton, Menu, Portal } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import type { TaskAnswer } from "../../api/client";
import { useRights, type RightName } from "../../api/queries";
import { dagScreen, screen } from "../../app/places";
import { Waiting } from "../../components/notices";
import "./words";

export type Deed = "trigger" | "pause" | "resume" | "cancel" | "delete";
type May = (right: RightName) => boolean;

/** What a deed takes. */
const RIGHTS: Record<Deed, RightName[]> = {
  trigger: ["run"],
  pause: ["edit"],
  resume: ["edit", "run"],
  cancel: ["edit"],
  delete: ["delete"],
};

/** What the role allows, whatever the task. */
export const allowed = (may: May): Deed[] => (Object.keys(RIGHTS) as Deed[]).filter((deed) => RIGHTS[deed].every(may));

/** Whether another execution of it may begin. */
const isOpen = ({ status, max_executions: most, executions }: TaskAnswer): boolean =>
  status !== "cancelled" && (most === null || executions < most);

/** What the role allows, and what makes sense for the task as it stands. */
export function offered(task: TaskAnswer, may: May): Deed[] {
  const open = isOpen(task);
  const sensible: Record<Deed, boolean> = {
    trigger: open && !task.paused,
    pause: open && !task.paused,
    resume: open && task.paused,
    cancel: open || task.status === "running",
    delete: true,
  };
  return allowed(may).filter((deed) => sensible[deed]);
}

/** A cancelled task cannot be changed any more, only copied. */
export const mayEdit = (task: TaskAnswer, may: May): boolean => may("edit") && task.status !== "cancelled";

type TaskMenuProps = { task: TaskAnswer; onDeed: (deed: Deed, task: TaskAnswer) => void };

export function TaskMenu({ task, onDeed }: TaskMenuProps) {
  const { t } = useTranslation();
  return (
    <Menu.Root lazyMount unmountOnExit positioning={{ placement: "bottom-end" }}>
      <Menu.Trigger asChild>
        <IconButton variant="ghost" size="xs" aria-label={t("do.more", { name: task.name })}>
          ⋯
        </IconButton>
      </Menu.Trigger>
      <Portal>
        <Menu.Positioner>
          <Menu.Content>
            <Items task={task} onDeed={onDeed} />
          </Menu.Content>
        </Menu.Positioner>
      </Portal>
    </Menu.Root>
  );
}

/** Mounted with the open menu alone: a list asks for nobody's rights to each of its tasks. */
function Items({ task, onDeed }: TaskMenuProps) {
  const { t } = useTranslation();
  const { may, pending } = useRights(task.code);
  const mayMake = useRights().may("edit");
  const deeds = offered(task, may);
  const query = `task=${encodeURIComponent(task.code)}`;
  const links = [
    { name: "log", to: screen(`executions?${query}`), text: t("tasks.deed.log") },
    { name: "deliveries", to: screen(`deliveries?${query}`), text: t("tasks.deed.deliveries") },
    ...(mayEdit(task, may)
      ? [{ name: "edit", to: screen(`tasks/${task.code}/edit`), text: t("tasks.deed.edit") }]
      : []),
    ...(mayMake
      ? [{ name: "copy", to: screen(`tasks/new?copy=${encodeURIComponent(task.code)}`), text: t("tasks.deed.copy") }]
      : []),
    ...(task.retired_at === null ? [{ name: "dag", to: dagScreen(task.code), text: t("do.openDag") }] : []),
  ];
  if (pending) return <Waiting />; // all at once: what moves while it is aimed at is hit by mistake
  return (
    <>
      {deeds.map((deed) => (
        <Menu.Item
          key={deed}
          value={deed}
          color={deed === "delete" ? "red.fg" : undefined}
          onSelect={() => onDeed(deed, task)}
        >
          {t(`tasks.deed.${deed}`)}
        </Menu.Item>
      ))}
      {deeds.length > 0 && <Menu.Separator />}
      {links.map(({ name, to, text }) => (
        <Menu.Item key={name} value={name} asChild>
          <Link to={to}>{text}</Link>
        </Menu.Item>
      ))}
    </>
  );
}
