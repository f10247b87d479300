// Today in figures, each a way to what it counts.

import { Box, Heading, Link as Looks, SimpleGrid, Skeleton, Stat } from "@chakra-ui/react";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import type { Schemas } from "../../api/client";
import { useStats } from "../../api/queries";
import { screen } from "../../app/places";
import { zone } from "../../components/moment";
import { Refusal } from "../../components/notices";
import { dayBegin } from "./day";

type Hour = Schemas["HourAnswer"];
type Count = "executions" | "deliveries" | "sent" | "delivered" | "failed" | "unknown" | "cancelled";

export function Today() {
  const { t, i18n } = useTranslation();
  const title = useId();
  const from = dayBegin(Date.now(), zone()).toISOString();
  const { data, error, refetch } = useStats({ from });
  const sum = (name: Count) => (data?.items ?? []).reduce((total, hour: Hour) => total + hour[name], 0);
  const [unknown, delivered] = [sum("unknown"), sum("delivered")];
  const since = `from=${encodeURIComponent(from)}`;
  const figures = [
    { name: "executions", count: sum("executions"), to: `executions?${since}` },
    // What is known to have arrived has left the state.
    { name: "sent", count: sum("sent") - delivered, to: `deliveries?state=sent&${since}` },
    ...(delivered > 0 ? [{ name: "delivered", count: delivered, to: `deliveries?state=delivered&${since}` }] : []),
    { name: "failed", count: sum("failed"), to: `deliveries?state=failed&${since}`, color: "red.fg" },
    {
      name: "waiting",
      // Whatever has not come to an end, as far as the executions have told.
      count: sum("deliveries") - sum("sent") - sum("failed") - unknown - sum("cancelled"),
      to: `deliveries?state=pending&${since}`,
    },
    ...(unknown > 0 ? [{ name: "unknown", count: unknown, to: `deliveries?state=unknown&${since}` }] : []),
  ];
  return (
    <Box as="section" aria-labelledby={title}>
      <Heading as="h2" size="sm" id={title} mb={2}>
        {t("overview.today")}
      </Heading>
      {error && <Refusal error={error} again={() => void refetch()} />}
      <SimpleGrid columns={{ base: 2, md: figures.length }} gap={3}>
        {figures.map(({ name, count, to, color }) => (
          <Stat.Root key={name} borderWidth="1px" borderRadius="md" p={3} data-figure={name}>
            <Stat.Label>{t(`overview.${name}`)}</Stat.Label>
            <Stat.ValueText color={count > 0 ? color : undefined}>
              {data === undefined ? (
                <Skeleton h="1.5rem" w="3rem" />
              ) : (
                <Looks asChild color="inherit">
                  <Link to={screen(to)} aria-label={`${t(`overview.${name}`)}: ${count}`}>
                    {count.toLocaleString(i18n.language)}
                  </Link>
                </Looks>
              )}
            </Stat.ValueText>
          </Stat.Root>
        ))}
      </SimpleGrid>
    </Box>
  );
}
