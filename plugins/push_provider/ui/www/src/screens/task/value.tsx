// A value of a push task's field, whatever it is: nothing in it is more than text, and none is larger than a screen.

import { Box, Text } from "@chakra-ui/react";
import { useMemo } from "react";
import { useTranslation } from "react-i18next";

/** Characters that are shown of one. */
const MOST = 10_000;

export const isNothing = (value: unknown): boolean =>
  value === null ||
  value === undefined ||
  value === "" ||
  (typeof value === "object" && Object.keys(value).length === 0);

/** JSON for people; a file in it is its size, and not a million letters. */
const asJson = (value: unknown): string =>
  JSON.stringify(
    value,
    (key, inner: unknown) =>
      key === "content_base64" && typeof inner === "string" ? `… ${Math.floor((inner.length * 3) / 4)} B` : inner,
    2,
  );

export function Value({ of }: { of: unknown }) {
  const { t } = useTranslation();
  const text = useMemo(() => (typeof of === "object" ? asJson(of) : String(of)), [of]);
  if (typeof of === "boolean") return t(of ? "field.yes" : "field.no");
  if (typeof of !== "object" && text.length < 200 && !text.includes("\n")) return <bdi>{text}</bdi>;
  return (
    <Box w="full">
      <Box
        as="pre"
        dir="auto"
        tabIndex={0}
        maxH="16rem"
        overflowY="auto"
        whiteSpace="pre-wrap"
        overflowWrap="anywhere"
        fontSize="xs"
        bg="bg.subtle"
        borderRadius="sm"
        p={2}
      >
        {text.slice(0, MOST)}
      </Box>
      {text.length > MOST && (
        <Text fontSize="xs" color="fg.muted">
          {t("task.shortened")}
        </Text>
      )}
    </Box>
  );
}
