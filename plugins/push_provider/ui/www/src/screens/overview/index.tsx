// The overview: today in figures, the last day by channel, what failed last, and whether configurations are sound.

import { SimpleGrid, Stack } from "@chakra-ui/react";
import { useRights } from "../../api/queries";
import { Failures } from "./failures";
import { Health } from "./health";
import { Hours } from "./hours";
import { Today } from "./today";
import "./words";

export default function Overview() {
  const { may } = useRights();
  return (
    <Stack gap={4}>
      <Today />
      <Hours />
      <SimpleGrid columns={{ base: 1, xl: may("read configurations") ? 2 : 1 }} gap={4} alignItems="start">
        <Failures />
        {may("read configurations") && <Health />}
      </SimpleGrid>
    </Stack>
  );
}
