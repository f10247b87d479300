// What stands where there is nothing to show: it is on its way, there is none, it was refused.

import { Alert, Button, EmptyState, HStack, Spinner, Text, VStack } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Problem } from "../api/client";
import { wordsOf } from "./messages";

export function Waiting() {
  const { t } = useTranslation();
  return (
    <HStack p={6} role="status">
      <Spinner size="sm" />
      <Text color="fg.muted">{t("waiting")}</Text>
    </HStack>
  );
}

/** An empty state says what to do next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <EmptyState.Root>
      <EmptyState.Content>
        <VStack textAlign="center">
          <EmptyState.Title>{title}</EmptyState.Title>
          {children && <EmptyState.Description asChild><div>{children}</div></EmptyState.Description>}
        </VStack>
      </EmptyState.Content>
    </EmptyState.Root>
  );
}

/** What was refused or failed, in words, and a way to try again where that may help. */
export function Refusal({ error, again }: { error: unknown; again?: () => void }) {
  const { t } = useTranslation();
  return (
    <Alert.Root status="error" my={2}>
      <Alert.Indicator />
      <Alert.Content>
        <Alert.Title>{t("fault.refused")}</Alert.Title>
        <Alert.Description whiteSpace="pre-wrap" overflowWrap="anywhere">
          {wordsOf(error)}
        </Alert.Description>
      </Alert.Content>
      {again && !(error instanceof Problem && error.status === 401) && (
        <Button size="xs" variant="outline" onClick={again}>
          {t("fault.again")}
        </Button>
      )}
    </Alert.Root>
  );
}
