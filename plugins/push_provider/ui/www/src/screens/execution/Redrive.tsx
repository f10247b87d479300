// Send an execution again to those who did not get it, and to no one else.

import { NativeSelect, Stack, Text } from "@chakra-ui/react";
import { useId, useState } from "react";
import { useTranslation } from "react-i18next";
import type { ExecutionAnswer } from "../../api/client";
import { useRedrive } from "../../api/queries";
import { Confirm } from "../../components/confirm";
import { say, sayRefused } from "../../components/messages";

const ANSWERS = { task: undefined, resend: true, hold: false } as const;

export function Redrive({ of, open, onClose }: { of: ExecutionAnswer; open: boolean; onClose: () => void }) {
  const { t } = useTranslation();
  const doubt = useId();
  const [unknown, setUnknown] = useState<keyof typeof ANSWERS>("task");
  const redrive = useRedrive();
  const send = () => {
    const answer = ANSWERS[unknown];
    redrive.mutate(
      { execution: of.id, ...(answer === undefined ? {} : { unknown: answer }) },
      {
        onSuccess: (done) => say(t("execution.redriven", done)),
        onError: sayRefused,
        onSettled: onClose,
      },
    );
  };
  return (
    <Confirm
      open={open}
      title={t("execution.redriveQuestion")}
      confirm={t("execution.redrive")}
      danger={false}
      doing={redrive.isPending}
      onConfirm={send}
      onClose={onClose}
    >
      <Stack>
        <Text>{t("execution.redriveExplained", { count: of.failed + of.unknown })}</Text>
        {of.unknown > 0 && (
          <Stack gap={1}>
            <Text as="label" {...{ htmlFor: doubt }}>
              {t("execution.doubt")}
            </Text>
            <NativeSelect.Root size="sm">
              <NativeSelect.Field
                id={doubt}
                value={unknown}
                onChange={({ target }) => setUnknown(target.value as keyof typeof ANSWERS)}
              >
                {Object.keys(ANSWERS).map((name) => (
                  <option key={name} value={name}>
                    {t(`execution.unknown.${name}`)}
                  </option>
                ))}
              </NativeSelect.Field>
              <NativeSelect.Indicator />
            </NativeSelect.Root>
          </Stack>
        )}
      </Stack>
    </Confirm>
  );
}
