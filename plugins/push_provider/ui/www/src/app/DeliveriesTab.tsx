// The tab "Deliveries" on a push DAG and on its run.

import { Box, Flex, HStack, Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import { useExecutions, useTask } from "../api/queries";
import { Moment } from "../components/moment";
import { Empty, Refusal, Waiting } from "../components/notices";
import { State } from "../components/state";
import { Way } from "../components/way";
import { Recipients, Standing } from "../screens/execution";
import { ExecutionList } from "../screens/executions/ExecutionList";
import { screen } from "./places";
import "./words";

const PREFIX = "push__";

export function DeliveriesTab({ dagId, runId }: { dagId?: string; runId?: string }) {
  const { t } = useTranslation();
  if (!dagId?.startsWith(PREFIX)) return <Empty title={t("tab.noPush")}>{t("tab.noPushWhy")}</Empty>;
  const code = dagId.slice(PREFIX.length);
  return (
    <Flex direction="column" p={3} gap={4} data-testid="push-tab">
      <Line code={code} />
      {runId === undefined ? <OfTask code={code} /> : <OfRun code={code} runId={runId} />}
    </Flex>
  );
}

/** Where the task stands, in a line. */
function Line({ code }: { code: string }) {
  const { t } = useTranslation();
  const { data: task, error } = useTask(code);
  if (error) return <Refusal error={error} />;
  if (!task) return <Waiting />;
  return (
    <HStack wrap="wrap" gap={3}>
      <State of={task.status} />
      <Text>
        {task.max_executions === null
          ? t("tab.executions", { count: task.executions })
          : t("tab.executionsOf", { count: task.executions, most: task.max_executions })}
      </Text>
      {task.next_execution && (
        <Text>
          {t("tab.next")} <Moment at={task.next_execution} />
        </Text>
      )}
      <Way to={screen(`tasks/${code}`)}>{t("tab.open")}</Way>
    </HStack>
  );
}

function OfTask({ code }: { code: string }) {
  const { t } = useTranslation();
  const { data, error } = useExecutions({ task: code, limit: 25 });
  if (error) return <Refusal error={error} />;
  if (!data) return <Waiting />;
  if (data.items.length === 0) return <Empty title={t("tab.none")} />;
  return (
    <Box>
      <ExecutionList rows={data.items} task={false} />
      {data.total_entries > data.items.length && (
        <Box mt={2}>
          <Way to={screen(`executions?task=${code}`)}>{t("tab.all")}</Way>
        </Box>
      )}
    </Box>
  );
}

function OfRun({ code, runId }: { code: string; runId: string }) {
  const { t } = useTranslation();
  const { data, error } = useExecutions({ task: code, run: runId, limit: 1 });
  const execution = data?.items[0];
  if (error) return <Refusal error={error} />;
  if (!data) return <Waiting />;
  if (!execution) return <Empty title={t("tab.noExecution")} />;
  return (
    <>
      <Standing of={execution} />
      <Recipients of={execution} />
    </>
  );
}
