// The module of the tab "Deliveries" on a push DAG and on its run, which Airflow's UI finds under the plugin's name.

import { DeliveriesTab } from "./app/DeliveriesTab";
import { Root } from "./app/Root";

function Deliveries(place: { dagId?: string; runId?: string }) {
  return (
    <Root name="Deliveries">
      <DeliveriesTab {...place} />
    </Root>
  );
}

Object.assign(globalThis, { Deliveries });
