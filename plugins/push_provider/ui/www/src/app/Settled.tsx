// Waits until Airflow's UI has taken the page for good.
//
// Airflow's UI shows a plugin's component first as what it has just loaded, and from the next change of the address on as
// what it finds under the plugin's name. To React these are two, so it throws the first away, with all that somebody has
// typed or opened by then, and the cursor: it is at the first letter of a filter. So the address is changed to itself before
// anything is shown.

import { useEffect, useState, type ReactNode } from "react";
import { useLocation, useNavigate } from "react-router-dom";

const settled = new Set<string>();

export function Settled({ name, children }: { name: string; children: ReactNode }) {
  const navigate = useNavigate();
  const location = useLocation();
  const [passing] = useState(() => (settled.has(name) ? undefined : location.key));
  useEffect(() => {
    if (settled.has(name)) return;
    settled.add(name);
    void navigate(location, { replace: true, state: location.state as unknown });
  }, [name, navigate, location]);
  // A UI that keeps the first one after all has changed the address as well.
  return passing !== undefined && passing === location.key ? null : children;
}
