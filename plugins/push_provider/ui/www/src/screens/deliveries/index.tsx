// Who got what, and why not: the deliveries of all push tasks.

import { useTranslation } from "react-i18next";
import { useDeliveries } from "../../api/queries";
import { FilterBar, MomentFilter, TextFilter, WordFilter } from "../../components/list";
import { Empty } from "../../components/notices";
import { Pages } from "../../components/pages";
import { useFilters } from "../../components/urlState";
import { Csv } from "./Csv";
import { DeliveryList } from "./DeliveryList";
import { DELIVERY_STATES } from "./states";
import "./words";

const NAMES = ["task", "execution", "search", "state", "from", "to"] as const;

export default function Deliveries() {
  const { t } = useTranslation();
  const { filters, limit, offset, set, clear, active } = useFilters(NAMES);
  const found = useDeliveries({ ...filters, limit, offset });
  return (
    <>
      <FilterBar onClear={active ? clear : undefined}>
        <TextFilter label={t("deliveries.search")} least={3} value={filters.search ?? ""} onChange={(search) => set({ search })} />
        <TextFilter label={t("field.code")} value={filters.task ?? ""} onChange={(task) => set({ task })} />
        <TextFilter
          label={t("deliveries.execution")}
          w="7rem"
          value={filters.execution ?? ""}
          without={/\D/g}
          onChange={(execution) => set({ execution })}
        />
        <WordFilter kind="status" words={DELIVERY_STATES} value={filters.state ?? ""} onChange={(state) => set({ state })} />
        <MomentFilter label={t("field.from")} value={filters.from ?? ""} onChange={(from) => set({ from })} />
        <MomentFilter label={t("field.to")} value={filters.to ?? ""} onChange={(to) => set({ to })} />
        <Csv of={filters} />
      </FilterBar>
      <Pages of={found} at={{ limit, offset, set }} empty={<Empty title={t("deliveries.empty")} />}>
        {(rows) => <DeliveryList rows={rows} />}
      </Pages>
    </>
  );
}
