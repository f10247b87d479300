// One push task: where it stands, what it does, and what became of its last executions.

import { Badge, Box, Button, Flex, Heading, Link as Looks, SimpleGrid, Stack, Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router-dom";
import { Problem, type TaskDetail } from "../../api/client";
import { useRights, useTask } from "../../api/queries";
import { dagScreen, screen } from "../../app/places";
import { Empty, Refusal, Waiting } from "../../components/notices";
import { State } from "../../components/state";
import { mayEdit, offered, TaskMenu } from "../tasks/actions";
import { useChannelNames } from "../tasks/channels";
import { useDeeds } from "../tasks/deeds";
import { Definition } from "./definition";
import { Runs } from "./runs";
import { Standing } from "./standing";
import "./words";

export default function Task() {
  const { t } = useTranslation();
  const { code } = useParams();
  const { data, error, refetch } = useTask(code);

  if (error instanceof Problem && (error.status === 404 || error.status === 403)) {
    return (
      <Empty title={t("task.missing")}>
        <Looks asChild variant="underline">
          <Link to={screen("tasks")}>{t("task.toList")}</Link>
        </Looks>
      </Empty>
    );
  }
  return (
    <Box>
      {error && <Refusal error={error} again={() => void refetch()} />}
      {data === undefined && !error && <Waiting />}
      {data && <Shown key={data.code} task={data} />}
    </Box>
  );
}

function Shown({ task }: { task: TaskDetail }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const { may } = useRights(task.code);
  const channels = useChannelNames();
  const { begin, dialogs } = useDeeds(() => void navigate(screen("tasks")));
  const deeds = offered(task, may);
  return (
    <Stack gap={4}>
      <Flex gap={3} justify="space-between" align="start" wrap="wrap">
        <Stack gap={1} minW={0} flex="1 1 16rem">
          <Heading as="h2" size="md" overflowWrap="anywhere" lineClamp={4}>
            <bdi>{task.name}</bdi>
          </Heading>
          <Flex gap={2} align="center" wrap="wrap">
            <State of={task.status} />
            <Badge size="sm">{channels.nameOf(task.channel)}</Badge>
            <Text as="code" fontSize="xs" color="fg.muted" overflowWrap="anywhere">
              {task.code}
            </Text>
          </Flex>
        </Stack>
        <Flex gap={2} wrap="wrap">
          {(["trigger", "resume"] as const)
            .filter((deed) => deeds.includes(deed))
            .map((deed) => (
              <Button key={deed} size="sm" colorPalette="brand" onClick={() => begin(deed, task)}>
                {t(`tasks.deed.${deed}`)}
              </Button>
            ))}
          {mayEdit(task, may) && (
            <Button asChild size="sm" variant="outline">
              <Link to={screen(`tasks/${task.code}/edit`)}>{t("tasks.deed.edit")}</Link>
            </Button>
          )}
          {task.retired_at === null && (
            <Button asChild size="sm" variant="outline">
              <Link to={dagScreen(task.code)}>{t("do.openDag")}</Link>
            </Button>
          )}
          <TaskMenu task={task} onDeed={begin} />
        </Flex>
      </Flex>
      <SimpleGrid columns={{ base: 1, xl: 2 }} gap={4} alignItems="start">
        <Stack gap={4} minW={0}>
          <Standing task={task} />
          <Runs task={task} mayTrigger={deeds.includes("trigger")} />
        </Stack>
        <Definition task={task} />
      </SimpleGrid>
      {dialogs}
    </Stack>
  );
}
