// The first recipients of a push task, and how many there are.

import { Box, List, Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import { isNothing } from "./value";

const SHOWN = 50;
const LONGEST = 300;

type Recipient = { to: string; variables: Record<string, unknown> };

const asRecipient = (one: unknown): Recipient => {
  const { to, variables } = (typeof one === "object" && one !== null ? one : { to: one }) as Record<string, unknown>;
  return { to: String(to), variables: (variables ?? {}) as Record<string, unknown> };
};

export function Recipients({ of }: { of: unknown }) {
  const { t, i18n } = useTranslation();
  const all: unknown[] = Array.isArray(of) ? of : [];
  if (all.length === 0) return <Text color="fg.muted">{t("task.noRecipients")}</Text>;
  return (
    <Box w="full">
      <Text>{all.length.toLocaleString(i18n.language)}</Text>
      <Box maxH="12rem" overflowY="auto" tabIndex={0} role="region" aria-label={t("task.recipients")}>
        <List.Root variant="plain">
          {all.slice(0, SHOWN).map((one, index) => {
            const { to, variables } = asRecipient(one);
            return (
              <List.Item key={index}>
                <bdi>{to.slice(0, LONGEST)}</bdi>
                {!isNothing(variables) && (
                  <Text as="bdi" color="fg.muted" fontSize="xs" ms={2}>
                    {JSON.stringify(variables).slice(0, LONGEST)}
                  </Text>
                )}
              </List.Item>
            );
          })}
        </List.Root>
      </Box>
      {all.length > SHOWN && <Text color="fg.muted">{t("task.moreRecipients", { count: all.length - SHOWN })}</Text>}
    </Box>
  );
}
