// Short messages at the edge of the screen: something was done, or refused.

import { createToaster, Portal, Stack, Toast, Toaster } from "@chakra-ui/react";
import { Problem } from "../api/client";
import { i18n } from "../i18n";

const toaster = createToaster({ placement: "bottom-end", pauseOnPageIdle: true, max: 4 });

export const say = (title: string, description?: string): void => {
  toaster.create({ title, description, type: "success", duration: 5_000 });
};

/** What an error says to people. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Problem)) return String(error instanceof Error ? error.message : error);
  if (error.status === 0) return i18n.t("fault.noAnswer");
  if (error.status === 401) return i18n.t("fault.loggedOut"); // the API's own words are for programs
  const fields = error.errors.map(({ field, message }) => `${field}: ${message}`);
  return [error.message, ...fields.filter((text) => !error.message.includes(text))].join("\n");
}

export const sayRefused = (error: unknown): void => {
  toaster.create({ title: i18n.t("fault.refused"), description: wordsOf(error), type: "error", duration: 15_000 });
};

export function Messages() {
  return (
    <Portal>
      <Toaster toaster={toaster} insetInline={{ mdDown: "4" }}>
        {(toast) => (
          <Toast.Root width={{ md: "sm" }} data-testid="message">
            <Toast.Indicator />
            <Stack gap="1" flex="1" maxW="100%" minW={0}>
              {toast.title && <Toast.Title>{toast.title}</Toast.Title>}
              {toast.description && (
                <Toast.Description whiteSpace="pre-wrap" overflowWrap="anywhere" maxH="40vh" overflowY="auto">
                  {toast.description}
                </Toast.Description>
              )}
            </Stack>
            <Toast.CloseTrigger aria-label={i18n.t("do.close")} />
          </Toast.Root>
        )}
      </Toaster>
    </Portal>
  );
}
