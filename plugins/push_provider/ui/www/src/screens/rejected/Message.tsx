// A rejected message itself, as it came, or laid out if it is JSON.

import { Button, Code, DataList, Dialog, Group, Stack, Text } from "@chakra-ui/react";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { read } from "../../api/exact";
import { Foreign } from "../../components/list";
import { Moment } from "../../components/moment";
import { Refusal, Waiting } from "../../components/notices";
import { Window } from "../../components/window";
import { type Rejected, type RejectedMessage, useRejectedMessage } from "./calls";
import { Place } from "./Place";

/** Characters that are shown: a message may have millions, which nobody reads here. */
const SHOWN = 100_000;

export function Message({ of, onClose }: { of: Rejected; onClose: () => void }) {
  const { t } = useTranslation();
  const message = useRejectedMessage(of.id);
  return (
    <Window open size="xl" scrollBehavior="inside" onClose={onClose}>
      <Dialog.Header>
        <Dialog.Title>{t("rejected.message", { id: of.id })}</Dialog.Title>
      </Dialog.Header>
      <Dialog.Body>
        <Stack gap={4}>
          <About of={of} />
          {message.error !== null && <Refusal error={message.error} again={() => void message.refetch()} />}
          {message.isPending && <Waiting />}
          {message.data !== undefined && <Itself of={message.data} />}
        </Stack>
      </Dialog.Body>
    </Window>
  );
}

function About({ of }: { of: Rejected }) {
  const { t } = useTranslation();
  const rows = [
    { name: t("rejected.place"), value: <div><Place of={of} /></div> },
    { name: t("rejected.sent"), value: <Moment at={of.sent_at} /> },
    { name: t("rejected.at"), value: <Moment at={of.rejected_at} /> },
  ];
  return (
    <Stack gap={3}>
      <Text as="bdi" display="block" color="fg.error" whiteSpace="pre-wrap" overflowWrap="anywhere">
        {of.reason}
      </Text>
      <DataList.Root size="sm" orientation="vertical">
        {rows.map(({ name, value }) => (
          <DataList.Item key={name}>
            <DataList.ItemLabel>{name}</DataList.ItemLabel>
            <DataList.ItemValue>{value}</DataList.ItemValue>
          </DataList.Item>
        ))}
      </DataList.Root>
    </Stack>
  );
}

function Itself({ of: { id, text, content_base64: base64 } }: { of: RejectedMessage }) {
  const { t } = useTranslation();
  const laidOut = useMemo(() => asJson(text), [text]);
  const [raw, setRaw] = useState(false);
  const whole = text ?? base64;
  if (whole === null) return <Foreign>{t("rejected.nothing")}</Foreign>;
  const shown = raw || laidOut === null ? whole : laidOut;
  return (
    <Stack gap={2}>
      {text === null && <Text>{t("rejected.binary")}</Text>}
      {laidOut !== null && (
        <Group attached>
          <Button size="xs" variant={raw ? "outline" : "solid"} aria-pressed={!raw} onClick={() => setRaw(false)}>
            {t("rejected.json")}
          </Button>
          <Button size="xs" variant={raw ? "solid" : "outline"} aria-pressed={raw} onClick={() => setRaw(true)}>
            {t("rejected.raw")}
          </Button>
        </Group>
      )}
      <Code
        as="pre"
        display="block"
        tabIndex={0}
        role="region"
        aria-label={t("rejected.value")}
        p={3}
        maxH="50vh"
        overflow="auto"
        whiteSpace="pre-wrap"
        overflowWrap="anywhere"
        unicodeBidi="isolate"
      >
        {shown.slice(0, SHOWN)}
      </Code>
      {shown.length > SHOWN && (
        <Text fontSize="sm">
          {t("rejected.cut")} <Download name={`rejected-${id}.txt`} text={whole} />
        </Text>
      )}
    </Stack>
  );
}

function Download({ name, text }: { name: string; text: string }) {
  const { t } = useTranslation();
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <Button size="xs" variant="outline" onClick={save}>
      {t("rejected.download")}
    </Button>
  );
}

/** JSON laid out for people, its numbers as they came; null for what is none. */
function asJson(text: string | null): string | null {
  try {
    return text === null ? null : JSON.stringify(read(text), null, 2);
  } catch {
    return null;
  }
}
