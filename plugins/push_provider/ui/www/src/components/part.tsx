// A part of the screen, with its name above it; and lists of names and values in it.

import { Box, DataList, Heading } from "@chakra-ui/react";
import { useId, type ReactNode } from "react";

export function Part({ title, level = "h3", children }: { title: string; level?: "h2" | "h3"; children: ReactNode }) {
  const id = useId();
  return (
    <Box as="section" aria-labelledby={id} borderWidth="1px" borderRadius="md" p={{ base: 3, md: 4 }} minW={0}>
      <Heading as={level} size="sm" id={id} mb={3}>
        {title}
      </Heading>
      {children}
    </Box>
  );
}

export function Facts({ children }: { children: ReactNode }) {
  return (
    <DataList.Root size="sm" orientation="horizontal" gap={2} css={{ "& time": { whiteSpace: "normal" } }}>
      {children}
    </DataList.Root>
  );
}

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <DataList.Item alignItems="start" flexWrap="wrap" rowGap={0}>
      <DataList.ItemLabel minW={{ base: "6rem", md: "12rem" }}>{name}</DataList.ItemLabel>
      <DataList.ItemValue minW={0} flexDirection="column" overflowWrap="anywhere" gap={1}>
        {children}
      </DataList.ItemValue>
    </DataList.Item>
  );
}
