// Writing connections by Airflow's own API.

import { call, callAirflow, Problem, type Schemas } from "../../api/client";
import { configOf, type AirflowConnection, useSaveConnection } from "../../api/queries";
import { extraOf, type Change } from "./connection";

/** Change some of a connection, and nothing else of it.
 *
 * Airflow's PATCH writes the fields that it is sent, and the extra as a whole: only secrets in it that are sent as they
 * were shown (`***`) stay. So the extra is read just before and goes back with what changes; and a password is sent
 * only if there is a new one. */
export function useChangeConnection() {
  const save = useSaveConnection();
  const change = async (id: string, { standard, extra }: Change): Promise<void> => {
    const [stored, configs] = await Promise.all([
      callAirflow<AirflowConnection>(`connections/${encodeURIComponent(id)}`),
      call<Schemas["Configs"]>("configs", { exact: true }),
    ]);
    const body: Partial<AirflowConnection> = { ...standard };
    if (Object.keys(extra).length > 0) {
      body.extra = JSON.stringify({ ...extraOf(stored, configOf(configs.items, id)), ...extra });
    }
    await save.mutateAsync({
      connection: { ...body, connection_id: stored.connection_id, conn_type: stored.conn_type },
      exists: true,
    });
  };
  return { change, pending: save.isPending };
}

/** Make a connection of a type. */
export function useCreateConnection() {
  const save = useSaveConnection();
  return async (id: string, type: string, { standard, extra }: Change): Promise<void> => {
    const connection = { ...standard, connection_id: id, conn_type: type, extra: JSON.stringify(extra) };
    await save.mutateAsync({ connection, exists: false });
  };
}

/** Whether Airflow has a connection of this id already. */
export const isTaken = (error: unknown): boolean => error instanceof Problem && error.status === 409;
