// The page's frame: its screens' names on top, and the screen that the address names below.

import { Box, Button, Flex, Heading, HStack } from "@chakra-ui/react";
import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";
import { Link, Navigate, Route, Routes, useLocation } from "react-router-dom";
import { Waiting } from "../components/notices";
import { useRights } from "../api/queries";
import { PAGE, screen } from "./places";

const Overview = lazy(() => import("../screens/overview"));
const Tasks = lazy(() => import("../screens/tasks"));
const TaskForm = lazy(() => import("../screens/taskForm"));
const Task = lazy(() => import("../screens/task"));
const Executions = lazy(() => import("../screens/executions"));
const Execution = lazy(() => import("../screens/execution"));
const Deliveries = lazy(() => import("../screens/deliveries"));
const Configurations = lazy(() => import("../screens/configurations"));
const Rejected = lazy(() => import("../screens/rejected"));
const Help = lazy(() => import("../screens/help"));

export function Page() {
  const { t } = useTranslation();
  const { pathname } = useLocation();
  const rights = useRights();
  const shown = pathname.slice(pathname.indexOf(PAGE) + PAGE.length + 1).split("/")[0] || "overview";
  const screens = [
    { name: "overview", below: "" },
    { name: "tasks", below: "tasks" },
    { name: "executions", below: "executions" },
    { name: "deliveries", below: "deliveries" },
    ...(rights.may("read configurations") ? [{ name: "configurations", below: "configurations" }] : []),
    { name: "rejected", below: "rejected" },
    { name: "help", below: "help" },
  ];
  return (
    <Flex direction="column" p={{ base: 2, md: 4 }} gap={3} minH="100%" minW={0} data-testid="push-page">
      <Heading as="h1" size="lg">
        {t("title")}
      </Heading>
      <Box as="nav" aria-label={t("title")} overflowX="auto" flexShrink={0} borderBottomWidth="1px">
        <HStack gap={1} minW="max-content">
          {screens.map(({ name, below }) => (
            <Button
              key={name}
              asChild
              size="sm"
              variant="plain"
              borderRadius={0}
              borderWidth={0}
              borderBottomWidth="2px"
              borderColor={name === shown ? "brand.solid" : "transparent"}
              color={name === shown ? "fg" : "fg.muted"}
              focusVisibleRing="inside"
            >
              <Link to={screen(below)} aria-current={name === shown ? "page" : undefined}>
                {t(`screens.${name}`)}
              </Link>
            </Button>
          ))}
        </HStack>
      </Box>
      <Box as="section" minW={0} flex={1}>
        <Suspense fallback={<Waiting />}>
          <Routes>
            <Route index element={<Overview />} />
            <Route path="tasks" element={<Tasks />} />
            <Route path="tasks/new" element={<TaskForm />} />
            <Route path="tasks/:code" element={<Task />} />
            <Route path="tasks/:code/edit" element={<TaskForm />} />
            <Route path="executions" element={<Executions />} />
            <Route path="executions/:execution" element={<Execution />} />
            <Route path="deliveries" element={<Deliveries />} />
            <Route path="configurations/*" element={<Configurations />} />
            <Route path="rejected" element={<Rejected />} />
            <Route path="help" element={<Help />} />
            <Route path="help/:name" element={<Help />} />
            <Route path="*" element={<Navigate to={PAGE} replace />} />
          </Routes>
        </Suspense>
      </Box>
    </Flex>
  );
}
