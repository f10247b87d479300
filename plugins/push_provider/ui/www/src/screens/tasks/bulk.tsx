// Doing something with several push tasks: the bar above the list, the question, and what was refused.

import { Alert, Button, Checkbox, Flex, List, Stack, Text } from "@chakra-ui/react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useRights } from "../../api/queries";
import { Confirm } from "../../components/confirm";
import { say, wordsOf } from "../../components/messages";
import { allowed, type Deed } from "./actions";
import { useMany, type Refused } from "./many";

/** Refusals that are shown by themselves. */
const MOST_SHOWN = 20;
const ASKED: readonly Deed[] = ["trigger", "cancel", "delete"];

type BulkProps = { chosen: ReadonlySet<string>; onChosen: (chosen: Set<string>) => void };

export function Bulk({ chosen, onChosen }: BulkProps) {
  const { t } = useTranslation();
  const { may } = useRights();
  const { course, run } = useMany();
  const [asked, setAsked] = useState<Deed>("trigger");
  const [asking, setAsking] = useState(false);
  const [purge, setPurge] = useState(false);
  const [refused, setRefused] = useState<Refused[]>([]);
  const count = chosen.size;

  const go = async (deed: Deed) => {
    setRefused([]);
    const codes = [...chosen];
    const refusals = await run(codes, deed, purge);
    setAsking(false);
    setRefused(refusals);
    // What was refused stays chosen: it may be tried again, or another way.
    onChosen(new Set(refusals.map(({ code }) => code)));
    if (refusals.length < codes.length) say(t(`tasks.bulk.did.${deed}`, { count: codes.length - refusals.length }));
  };
  const begin = (deed: Deed) => {
    setPurge(false);
    setAsked(deed);
    if (ASKED.includes(deed)) setAsking(true);
    else void go(deed);
  };

  return (
    <>
      {count > 0 && (
        <Flex role="group" aria-label={t("tasks.bulk.label")} gap={2} wrap="wrap" align="center" mb={2}>
          <Text fontSize="sm" role="status" fontVariantNumeric="tabular-nums">
            {course ? t("tasks.bulk.course", course) : t("list.chosen", { count })}
          </Text>
          {allowed(may).map((deed) => (
            <Button
              key={deed}
              size="xs"
              variant="outline"
              colorPalette={deed === "delete" ? "red" : undefined}
              disabled={course !== null}
              onClick={() => begin(deed)}
            >
              {t(`tasks.deed.${deed}`)}
            </Button>
          ))}
          <Button size="xs" variant="ghost" disabled={course !== null} onClick={() => onChosen(new Set())}>
            {t("tasks.bulk.none")}
          </Button>
        </Flex>
      )}
      {refused.length > 0 && (
        <Alert.Root status="warning" mb={2}>
          <Alert.Indicator />
          <Alert.Content minW={0}>
            <Alert.Title>{t("tasks.bulk.refused", { count: refused.length })}</Alert.Title>
            <Alert.Description overflowWrap="anywhere" maxH="16rem" overflowY="auto" tabIndex={0} w="full">
              <List.Root variant="plain" gap={1}>
                {refused.slice(0, MOST_SHOWN).map(({ code, error }) => (
                  <List.Item key={code} whiteSpace="pre-wrap">
                    <bdi>
                      {code}: {wordsOf(error)}
                    </bdi>
                  </List.Item>
                ))}
                {refused.length > MOST_SHOWN && (
                  <List.Item>{t("tasks.bulk.more", { count: refused.length - MOST_SHOWN })}</List.Item>
                )}
              </List.Root>
            </Alert.Description>
          </Alert.Content>
          <Button size="xs" variant="ghost" onClick={() => setRefused([])}>
            {t("do.close")}
          </Button>
        </Alert.Root>
      )}
      <Confirm
        open={asking}
        title={t(`tasks.bulk.ask.${asked}`, { count })}
        danger={asked !== "trigger"}
        doing={course !== null}
        onConfirm={() => void go(asked)}
        onClose={() => setAsking(false)}
      >
        <Stack gap={3}>
          <Text>{t(`tasks.bulk.body.${asked}`)}</Text>
          {asked === "delete" && (
            <Checkbox.Root checked={purge} onCheckedChange={({ checked }) => setPurge(checked === true)}>
              <Checkbox.HiddenInput />
              <Checkbox.Control />
              <Checkbox.Label>{t("tasks.bulk.purge")}</Checkbox.Label>
            </Checkbox.Root>
          )}
        </Stack>
      </Confirm>
    </>
  );
}
