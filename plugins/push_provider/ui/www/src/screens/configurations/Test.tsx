// Trying a configuration: it connects and logs in, and sends nothing.

import { Box, Button, Text } from "@chakra-ui/react";
import { useMutation } from "@tanstack/react-query";
import { useTranslation } from "react-i18next";
import type { Config, Problem, Schemas } from "../../api/client";
import { testConfig } from "../../api/queries";
import { Foreign } from "../../components/list";
import { wordsOf } from "../../components/messages";
import "./words";

export function Test({ config }: { config: Config }) {
  const { t } = useTranslation();
  const test = useMutation<Schemas["TestResult"], Problem>({ mutationFn: () => testConfig(config.id) });
  const ok = test.data?.ok ?? false;
  const words = test.data?.message ?? (test.error ? wordsOf(test.error) : null);
  return (
    <Box minW="9rem">
      <Button
        size="xs"
        variant="outline"
        loading={test.isPending}
        loadingText={t("configurations.testing")}
        aria-label={t("configurations.testOne", { id: config.id })}
        onClick={() => test.mutate()}
      >
        {t("configurations.test")}
      </Button>
      <Box role="status" fontSize="xs" mt={words === null ? 0 : 1} data-test={words === null ? undefined : String(ok)}>
        {words !== null && !test.isPending && (
          <>
            <Text as="span" fontWeight="medium" color={ok ? "green.fg" : "red.fg"}>
              {t(ok ? "configurations.works" : "configurations.fails")}
            </Text>
            <Foreign lines={8}>{words}</Foreign>
          </>
        )}
      </Box>
    </Box>
  );
}
