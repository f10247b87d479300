// The message as any of the recipients would get it, rendered by the server while it is written.

import { Alert, Badge, Box, Button, HStack, Heading, Input, Text } from "@chakra-ui/react";
import { useEffect, useState } from "react";
import { useFormContext, useWatch } from "react-hook-form";
import { useTranslation } from "react-i18next";
import { wordsOf } from "../../components/messages";
import { usePreview } from "./calls";
import { formOf } from "./channels/forms";
import { documentOf, type ChannelAnswer } from "./document";
import { useWords } from "./Labelled";
import { Message } from "./Message";
import type { Document } from "./patch";
import type { Line, Roll } from "./recipients/useRoll";
import type { Values } from "./values";

type PreviewPaneProps = {
  roll: Roll;
  channel: ChannelAnswer | undefined;
  /** The place of the recipient among the form's. */
  chosen: number;
  onChosen: (line: number) => void;
};

export function PreviewPane({ roll, channel, chosen, onChosen }: PreviewPaneProps) {
  const words = useWords();
  const { control } = useFormContext<Values>();
  const values = useWatch({ control }) as Values;
  const { lines } = roll.checked;
  const form = formOf(values.channel);
  const at = Math.min(chosen, Math.max(lines.length - 1, 0));
  const line: Line | undefined = lines[at];
  const example = line === undefined && form.example !== undefined;
  const recipient = line === undefined ? form.example : { to: line.to, variables: line.variables };
  const ready = recipient !== undefined && form.ready(values);
  const asked = ready
    ? JSON.stringify({ task: ofContent(documentOf(values, channel)), recipients: [recipient] })
    : null;
  const { data, error, resting } = usePreview(asked);
  return (
    <Box as="section" aria-label={words("preview.title")} minW={0} data-testid="preview" aria-busy={ready && !resting}>
      <HStack justify="space-between" wrap="wrap" mb={2}>
        <Heading as="h2" size="md">
          {words("preview.title")}
        </Heading>
        {lines.length > 0 && <Chooser at={at} total={lines.length} onChosen={onChosen} />}
      </HStack>
      {example && ready && (
        <Text fontSize="sm" color="fg.muted" mb={2}>
          {words("preview.example")}
        </Text>
      )}
      {!ready ? (
        <Text color="fg.muted">{words(recipient === undefined ? "preview.nobody" : "preview.empty")}</Text>
      ) : error ? (
        <Alert.Root status="warning">
          <Alert.Indicator />
          <Alert.Content>
            <Alert.Title>{words("preview.refused")}</Alert.Title>
            <Alert.Description overflowWrap="anywhere" whiteSpace="pre-wrap">
              {wordsOf(error)}
            </Alert.Description>
          </Alert.Content>
        </Alert.Root>
      ) : data ? (
        <Message of={data} />
      ) : (
        <Badge>{words("preview.waiting")}</Badge>
      )}
    </Box>
  );
}

/** Of a task what its messages are made of: the rest may still be wrong or missing. */
function ofContent(document: Document): Document {
  const { code: _code, execution: _execution, attachments, ...content } = document;
  // Files of megabytes are not sent along at each pause; which ones there are is seen in the form.
  const paths = Array.isArray(attachments) ? attachments.filter((file) => typeof file === "string") : [];
  const files = paths.length > 0 ? { attachments: paths } : {};
  return { ...content, name: document.name ?? "–", schedule: { kind: "manual" }, ...files };
}

function Chooser({ at, total, onChosen }: { at: number; total: number; onChosen: (line: number) => void }) {
  const { t } = useTranslation();
  const words = useWords();
  const [text, setText] = useState(String(at + 1));
  useEffect(() => setText(String(at + 1)), [at]);
  const go = (number: number) => onChosen(Math.min(Math.max(Math.trunc(number) || 1, 1), total) - 1);
  return (
    <HStack gap={1}>
      <Button
        size="xs"
        variant="outline"
        disabled={at === 0}
        aria-label={words("preview.previous")}
        onClick={() => go(at)}
      >
        ‹
      </Button>
      <Input
        size="xs"
        w="4.5rem"
        inputMode="numeric"
        aria-label={words("preview.number")}
        value={text}
        onChange={({ target }) => setText(target.value)}
        onBlur={() => go(Number(text))}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault(); // which would save the task
          go(Number(text));
        }}
      />
      <Text fontSize="sm" color="fg.muted" whiteSpace="nowrap">
        {t("taskForm.preview.of", { total })}
      </Text>
      <Button
        size="xs"
        variant="outline"
        disabled={at + 1 >= total}
        aria-label={words("preview.next")}
        onClick={() => go(at + 2)}
      >
        ›
      </Button>
    </HStack>
  );
}
