// Deliveries as a file: all that match, not only those of the page.

import { Button } from "@chakra-ui/react";
import { useTranslation } from "react-i18next";
import type { Params } from "../../api/client";
import { deliveriesCsv } from "../../api/queries";

export function Csv({ of }: { of: Params }) {
  const { t } = useTranslation();
  return (
    <Button asChild size="sm" variant="outline">
      <a href={deliveriesCsv(of)} download="deliveries.csv">
        {t("do.csv")}
      </a>
    </Button>
  );
}
