// Ways to other screens, of the page's or of Airflow's: as a button, and as words of a list.

import { Button, Text } from "@chakra-ui/react";
import type { ReactNode } from "react";
import { Link } from "react-router-dom";

export function Way({ to, children }: { to: string; children: ReactNode }) {
  return (
    <Button asChild size="sm" variant="outline">
      <Link to={to}>{children}</Link>
    </Button>
  );
}

export function WayInList({ to, children }: { to: string; children: ReactNode }) {
  return (
    <Text asChild color="fg.info" overflowWrap="anywhere" fontVariantNumeric="tabular-nums">
      <Link to={to}>{children}</Link>
    </Text>
  );
}
