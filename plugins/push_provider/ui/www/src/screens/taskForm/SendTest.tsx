// "Send a test to me": a push task of its own, once and now, to an address that is asked for.

import { Button, Dialog, Field, Input, Text } from "@chakra-ui/react";
import { useState } from "react";
import { useFormContext, useWatch } from "react-hook-form";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import { screen } from "../../app/places";
import { wordsOf } from "../../components/messages";
import { Window } from "../../components/window";
import { useCreate } from "./calls";
import { documentOf, type ChannelAnswer } from "./document";
import { useWords } from "./Labelled";
import { isAddress } from "./recipients/address";
import type { Line } from "./recipients/useRoll";
import type { Values } from "./values";

/** The longest name that a push task may have. */
const LONGEST_NAME = 200;

/** The address of the last test of a channel, which is mostly that of the next one. */
const remembered = {
  key: (channel: string) => `push.test.${channel}`,
  get(channel: string): string {
    try {
      return localStorage.getItem(this.key(channel)) ?? "";
    } catch {
      return ""; // a browser that keeps nothing
    }
  },
  set(channel: string, address: string): void {
    try {
      localStorage.setItem(this.key(channel), address);
    } catch {
      // The same.
    }
  },
};

type SendTestProps = {
  channel: ChannelAnswer | undefined;
  /** The recipient whose variables the test has. */
  like: Line | undefined;
  /** Whether the fields are right; shows what is wrong with them if not. */
  check: () => Promise<boolean>;
};

export function SendTest({ channel, like, check }: SendTestProps) {
  const { t } = useTranslation();
  const words = useWords();
  const { control, getValues } = useFormContext<Values>();
  const name = useWatch({ control, name: "channel" });
  const create = useCreate();
  const [open, setOpen] = useState(false);
  const [address, setAddress] = useState("");
  const [wrong, setWrong] = useState(false);

  const begin = async () => {
    if (!(await check())) return;
    create.reset();
    setWrong(false);
    setAddress(remembered.get(name));
    setOpen(true);
  };
  const send = () => {
    const to = address.trim();
    setWrong(!isAddress(name, to));
    if (!isAddress(name, to)) return;
    remembered.set(name, to);
    const { code: _code, missed: _missed, ...task } = documentOf(getValues(), channel);
    create.mutate({
      ...task,
      name: `${words("test.prefix")}${String(task.name ?? "")}`.slice(0, LONGEST_NAME),
      execution: { type: "once" },
      schedule: { kind: "now" },
      recipients: [{ to, variables: like?.variables ?? {} }],
    });
  };
  return (
    <>
      <Button variant="outline" onClick={() => void begin()}>
        {words("test.title")}
      </Button>
      <Window open={open} onClose={() => setOpen(false)}>
        <Dialog.Header>
          <Dialog.Title>{words("test.title")}</Dialog.Title>
        </Dialog.Header>
        <Dialog.Body>
          <Text mb={3}>{words(like ? "test.likeRecipient" : "test.what")}</Text>
          <Field.Root invalid={wrong || create.isError}>
            <Field.Label>{words("test.address")}</Field.Label>
            <Input
              value={address}
              maxLength={320}
              autoComplete="on"
              onChange={({ target }) => setAddress(target.value)}
              onKeyDown={(event) => event.key === "Enter" && send()}
            />
            <Field.ErrorText color="red.fg" overflowWrap="anywhere" whiteSpace="pre-wrap">
              {wrong ? words("recipients.noAddress") : create.isError && wordsOf(create.error)}
            </Field.ErrorText>
          </Field.Root>
          {create.data && (
            <Text mt={3} role="status">
              {words("test.sent")}{" "}
              <Link to={screen(`deliveries?task=${encodeURIComponent(create.data.code)}`)} target="_blank">
                <Text as="span" textDecoration="underline" color="blue.fg">
                  {words("test.deliveries")}
                </Text>
              </Link>
            </Text>
          )}
        </Dialog.Body>
        <Dialog.Footer>
          <Button variant="outline" onClick={() => setOpen(false)}>
            {t("do.close")}
          </Button>
          <Button colorPalette="brand" loading={create.isPending} onClick={send}>
            {words("test.send")}
          </Button>
        </Dialog.Footer>
      </Window>
    </>
  );
}
