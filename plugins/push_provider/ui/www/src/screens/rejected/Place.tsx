// Where a message stood in Kafka.

import { Text } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import { Foreign } from "../../components/list";
import type { Rejected } from "./calls";

export function Place({ of }: { of: Rejected }) {
  const { t } = useTranslation();
  const parts = [t("rejected.position", { partition: of.partition, offset: of.offset })];
  if (of.element !== null) parts.push(t("rejected.element", { number: of.element + 1 }));
  return (
    <>
      <Foreign>{of.topic}</Foreign>
      <Text as="span" fontSize="xs" color="fg.muted">
        {parts.join(", ")}
      </Text>
    </>
  );
}
