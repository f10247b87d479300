// A rendered message: a mail on a phone or a desktop, an SMS with its length, whatever else another channel sends.

import { Box, Button, Code, DataList, HStack, Text } from "@chakra-ui/react";
import { useState, type ReactNode } from "react";
import { useFormContext, useWatch } from "react-hook-form";
import type { PreviewAnswer } from "../../api/client";
import { useSmsConfig } from "./channels/sms";
import { filled, lengthOf } from "./channels/smsText";
import { useWords } from "./Labelled";
import type { Values } from "./values";

const VIEWS = ["desktop", "phone", "text"] as const;
type View = (typeof VIEWS)[number];
/** The width of a phone, in CSS pixels. */
const PHONE = "375px";
const FRAME = { display: "block", minWidth: PHONE, height: "32rem", margin: "auto" };

export function Message({ of: message }: { of: PreviewAnswer }) {
  const words = useWords();
  return (
    <Box borderWidth="1px" borderRadius="md" p={3} minW={0}>
      <Fact name={words("preview.to")}>{message.to}</Fact>
      {message.subject !== null && <Fact name={words("email.subject")}>{message.subject}</Fact>}
      {message.attachments.length > 0 && (
        <Fact name={words("email.attachments")}>{message.attachments.map(({ name }) => name).join(", ")}</Fact>
      )}
      {(message.html !== null || message.text !== null) && <Mail html={message.html} text={message.text ?? ""} />}
      {message.parameters !== null && <Sms parameters={message.parameters} />}
      {message.message !== null && (
        <Plain label={words("preview.message")}>{JSON.stringify(message.message, null, 2)}</Plain>
      )}
    </Box>
  );
}

function Fact({ name, children }: { name: string; children: string }) {
  return (
    <Text fontSize="sm" overflowWrap="anywhere" lineClamp={3}>
      <Text as="span" color="fg.muted">
        {name}:{" "}
      </Text>
      <bdi>{children.slice(0, 1_000)}</bdi>
    </Text>
  );
}

function Plain({ label, children }: { label: string; children: ReactNode }) {
  return (
    <Box
      as="pre"
      role="region"
      aria-label={label}
      tabIndex={0}
      mt={2}
      maxH="32rem"
      overflow="auto"
      whiteSpace="pre-wrap"
      overflowWrap="anywhere"
      fontSize="sm"
    >
      {children}
    </Box>
  );
}

function Mail({ html, text }: { html: string | null; text: string }) {
  const words = useWords();
  const [chosen, setView] = useState<View>("desktop");
  if (html === null) return <Plain label={words("preview.text")}>{text}</Plain>;
  return (
    <>
      <HStack my={2} gap={1} role="group" aria-label={words("preview.view")}>
        {VIEWS.map((view) => (
          <Button
            key={view}
            size="xs"
            variant={view === chosen ? "solid" : "outline"}
            aria-pressed={view === chosen}
            onClick={() => setView(view)}
          >
            {words(`preview.${view}`)}
          </Button>
        ))}
      </HStack>
      {chosen === "text" ? (
        <Plain label={words("preview.text")}>{text}</Plain>
      ) : (
        <Box
          overflowX="auto"
          borderWidth="1px"
          borderRadius="sm"
          bg="white" // as mail programs have it, also in the dark
          tabIndex={0}
          role="region"
          aria-label={words("preview.mail")}
        >
          {/* Without scripts, forms, links of the frame's own and our origin: strangers may have written it. */}
          <iframe
            sandbox=""
            srcDoc={html}
            title={words("preview.mail")}
            referrerPolicy="no-referrer"
            style={{ ...FRAME, width: chosen === "phone" ? PHONE : "100%" }}
          />
        </Box>
      )}
    </>
  );
}

function Sms({ parameters }: { parameters: Record<string, string> }) {
  const words = useWords();
  const { control } = useFormContext<Values>();
  const [template, own] = useWatch({ control, name: ["templateText", "own.sms.sign_name"] });
  const config = useSmsConfig();
  const signature = own?.trim() || config.signature;
  const text = template.trim() === "" ? null : filled(template.trim(), signature, parameters);
  const length = text === null ? null : lengthOf(text, config.international);
  return (
    <>
      {text === null ? (
        <DataList.Root size="sm" orientation="horizontal" mt={2}>
          {Object.entries(parameters).map(([name, value]) => (
            <DataList.Item key={name} minW={0}>
              <DataList.ItemLabel overflowWrap="anywhere">
                <Code>{name}</Code>
              </DataList.ItemLabel>
              <DataList.ItemValue overflowWrap="anywhere" minW={0}>
                <bdi>{value.slice(0, 1_000)}</bdi>
              </DataList.ItemValue>
            </DataList.Item>
          ))}
        </DataList.Root>
      ) : (
        <Box
          mt={2}
          p={3}
          bg="bg.subtle"
          borderRadius="lg"
          maxW={PHONE}
          overflowWrap="anywhere"
          whiteSpace="pre-wrap"
          data-testid="sms-text"
        >
          <bdi>{text}</bdi>
        </Box>
      )}
      <Text fontSize="sm" color="fg.muted" mt={2} role="status" data-testid="sms-length">
        {length
          ? words("sms.length", length)
          : words("sms.partLength", { characters: Object.values(parameters).join("").length })}
      </Text>
    </>
  );
}
