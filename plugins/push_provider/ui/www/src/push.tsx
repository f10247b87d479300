// The module of the Push page, which Airflow's UI finds under the plugin's name.

import { Page } from "./app/Page";
import { Root } from "./app/Root";

function Push() {
  return (
    <Root name="Push">
      <Page />
    </Root>
  );
}

Object.assign(globalThis, { Push });
