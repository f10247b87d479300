// What every part of the page stands in: words, queries, and a net under what goes wrong.

import { Alert, Box, Button, Code } from "@chakra-ui/react";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { Component, useEffect, type ReactNode } from "react";
import { I18nextProvider } from "react-i18next";
import { call, Problem } from "../api/client";
import { Messages } from "../components/messages";
import { followAirflow, i18n } from "../i18n";
import { Settled } from "./Settled";

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // What the API refuses it refuses again; what did not answer may answer in a moment.
      retry: (tries, error) => tries < 2 && error instanceof Problem && (error.status === 0 || error.status >= 502),
      staleTime: 1_000,
    },
  },
});

/** `name` is the one by which Airflow's UI finds the component that stands in it. */
export function Root({ name, children }: { name: string; children: ReactNode }) {
  useEffect(followAirflow, []);
  return (
    <I18nextProvider i18n={i18n}>
      <QueryClientProvider client={client}>
        <Net>
          <Settled name={name}>{children}</Settled>
        </Net>
        <Messages />
      </QueryClientProvider>
    </I18nextProvider>
  );
}

/** A fault of ours takes down our part of the screen alone, and says what it was. */
class Net extends Component<{ children: ReactNode }, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  override componentDidCatch() {
    // Whoever is not logged in any more gets no further part of the page either; what is asked for leads to the login.
    void call("me").catch(() => undefined);
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <Box p={4}>
        <Alert.Root status="error">
          <Alert.Indicator />
          <Alert.Content>
            <Alert.Title>{i18n.t("fault.title")}</Alert.Title>
            <Alert.Description>
              <Code whiteSpace="pre-wrap">{String(error.message).slice(0, 500)}</Code>
              <Box mt={3}>
                {/* A part of the page that did not come is only asked for again by a page that is loaded anew. */}
                <Button size="sm" onClick={() => window.location.reload()}>
                  {i18n.t("fault.again")}
                </Button>
              </Box>
            </Alert.Description>
          </Alert.Content>
        </Alert.Root>
      </Box>
    );
  }
}
