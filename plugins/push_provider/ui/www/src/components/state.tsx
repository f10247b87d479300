// Where a push task, an execution or a delivery stands, in a word and a colour.

import { Badge, Box, Flex, HStack, Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import type { ExecutionAnswer } from "../api/client";

const PALETTES: Record<string, string> = {
  pending: "gray",
  planned: "gray",
  running: "blue",
  sending: "blue",
  active: "cyan",
  paused: "yellow",
  finished: "green",
  succeeded: "green",
  sent: "green",
  delivered: "teal",
  partial: "orange",
  failed: "red",
  unknown: "purple",
  cancelled: "gray",
};

export function State({ of }: { of: string }) {
  const { t } = useTranslation();
  return (
    <Badge colorPalette={PALETTES[of] ?? "gray"} variant="surface" size="sm" whiteSpace="nowrap" data-state={of}>
      {t(`status.${of}`, of)}
    </Badge>
  );
}

const PARTS = [
  { name: "sent", color: "green.solid" },
  { name: "failed", color: "red.solid" },
  { name: "unknown", color: "purple.solid" },
  { name: "cancelled", color: "gray.solid" },
] as const;

/** How far an execution has come: a bar with a part for each outcome, and the figures beside it. */
export function Course({ of }: { of: ExecutionAnswer }) {
  const { t } = useTranslation();
  const ended = of.sent + of.failed + of.unknown + of.cancelled;
  const counts = PARTS.filter(({ name }) => of[name] > 0).map(({ name }) => `${of[name]} ${t(`status.${name}`)}`);
  return (
    <HStack gap={2} minW="9rem">
      <Flex
        role="progressbar"
        aria-valuemin={0}
        aria-valuemax={of.total}
        aria-valuenow={ended}
        aria-label={counts.join(", ") || t(`status.${of.state}`)}
        h="8px"
        w="5rem"
        flexShrink={0}
        bg="bg.emphasized"
        borderRadius="full"
        overflow="hidden"
        title={counts.join(", ")}
      >
        {of.total > 0 &&
          PARTS.map(({ name, color }) => (
            <Box key={name} bg={color} w={`${(of[name] / of.total) * 100}%`} transition="width 0.4s" />
          ))}
      </Flex>
      <Text as="span" whiteSpace="nowrap" fontVariantNumeric="tabular-nums">
        {of.sent} / {of.total}
      </Text>
    </HStack>
  );
}
