// Where things are: the page's own screens, and Airflow's screens that it leads to.

export const PAGE = "/plugin/push";

/** A screen of the page. */
export const screen = (below = ""): string => (below ? `${PAGE}/${below}` : PAGE);
/** Airflow's screen of a push task's DAG. */
export const dagScreen = (code: string): string => `/dags/push__${code}`;
/** Airflow's screen of a DAG run. */
export const runScreen = (code: string, run: string): string => `${dagScreen(code)}/runs/${encodeURIComponent(run)}`;
/** Airflow's screen of the log of the task that sent an execution. */
export const logScreen = (code: string, run: string): string => `${runScreen(code, run)}/tasks/send`;
