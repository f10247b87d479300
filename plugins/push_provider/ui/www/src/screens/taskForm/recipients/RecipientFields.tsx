// To whom: addresses that are typed or pasted, and lists from files, whose other columns become variables.

import { Alert, Checkbox, Field, HStack, Input, Stack, Text, Textarea } from "@chakra-ui/react";
import { useEffect, useRef, useState, type ClipboardEvent } from "react";
import { flushSync } from "react-dom";
import { useWords } from "../Labelled";
import { addressesOf, isAddress } from "./address";
import { Lines } from "./Lines";
import { readFile, readText, Unreadable } from "./reading";
import { TableLine } from "./TableLine";
import { tableOf, type Table } from "./tables";
import type { Roll } from "./useRoll";

/** Characters that the text field takes; longer text becomes a list of its own. */
const MOST_TYPED = 20_000;

type RecipientFieldsProps = { roll: Roll; channel: string; onPreview: (line: number) => void };

export function RecipientFields({ roll, channel, onPreview }: RecipientFieldsProps) {
  const words = useWords();
  const { sources, change, checked, complaint, reading, setReading } = roll;
  const [unreadable, setUnreadable] = useState<string>();

  const add = (table: Table) => change(({ tables }) => ({ tables: [...tables, table] }));
  const read = async (name: string, rows: (onRows: (count: number) => void) => Promise<unknown[][]>) => {
    setUnreadable(undefined);
    setReading({ name, rows: 0 });
    try {
      const found = await rows((count) => setReading({ name, rows: count }));
      if (found.length === 0) throw new Unreadable("empty");
      add(tableOf(name, found, channel));
    } catch (error) {
      const [reason, named] = error instanceof Unreadable ? [error.message, error.named] : ["noFile", {}];
      setUnreadable(words(`recipients.${reason}`, { name, ...named }));
    } finally {
      setReading(undefined);
    }
  };
  const setTable = (table: Table | null, id: number) =>
    change(({ tables }) => ({ tables: tables.flatMap((one) => (one.id === id ? (table ? [table] : []) : [one])) }));

  return (
    <>
      <Typed
        channel={channel}
        typed={sources.typed}
        complaint={complaint}
        onTyped={(typed) => change({ typed })}
        onList={(text) => void read(words("recipients.pasted"), (onRows) => readText(text, onRows))}
      />
      <Field.Root invalid={unreadable !== undefined}>
        <Field.Label>{words("recipients.file")}</Field.Label>
        <Input
          type="file"
          size="sm"
          p={1}
          accept=".csv,.tsv,.txt,.xlsx"
          onChange={({ target }) => {
            const file = target.files?.[0];
            if (file) void read(file.name, (onRows) => readFile(file, onRows)).finally(() => (target.value = ""));
          }}
        />
        {unreadable === undefined ? (
          <Field.HelperText>{words("recipients.fileHelp")}</Field.HelperText>
        ) : (
          <Field.ErrorText color="red.fg" overflowWrap="anywhere" maxW="100%">
            {unreadable}
          </Field.ErrorText>
        )}
      </Field.Root>
      {reading && (
        <Text role="status" fontSize="sm" color="fg.muted" overflowWrap="anywhere">
          {words("recipients.reading", { name: reading.name, rows: reading.rows })}
        </Text>
      )}
      {sources.tables.map((table) => (
        <TableLine key={table.id} table={table} onChange={(after) => setTable(after, table.id)} />
      ))}
      <HStack wrap="wrap" gap={4} role="status" aria-busy={roll.busy} data-testid="recipient-count">
        <Text fontSize="sm" fontWeight="medium">
          {words("recipients.total", { total: checked.lines.length })}
        </Text>
        {checked.wrong.length > 0 && (
          <Text fontSize="sm" color="red.fg">
            {words("recipients.wrong", { total: checked.wrong.length })}
          </Text>
        )}
        {checked.twice > 0 && (
          <Text fontSize="sm" color="fg.muted">
            {words("recipients.twice", { total: checked.twice })}
          </Text>
        )}
      </HStack>
      {checked.wrong.length > 0 && (
        <Alert.Root status={roll.leaveOut ? "info" : "warning"} size="sm">
          <Alert.Content>
            <Checkbox.Root
              checked={roll.leaveOut}
              onCheckedChange={({ checked: on }) => {
                roll.setLeaveOut(on === true);
                roll.complain(undefined);
              }}
            >
              <Checkbox.HiddenInput />
              <Checkbox.Control />
              <Checkbox.Label>{words("recipients.leaveOut")}</Checkbox.Label>
            </Checkbox.Root>
          </Alert.Content>
        </Alert.Root>
      )}
      {checked.lines.length > 0 && <Lines roll={roll} onPreview={onPreview} />}
    </>
  );
}

type TypedProps = {
  channel: string;
  typed: string;
  complaint: string | undefined;
  onTyped: (text: string) => void;
  onList: (text: string) => void;
};

function Typed({ channel, typed, complaint, onTyped, onList }: TypedProps) {
  const words = useWords();
  const [text, setText] = useState(typed);
  const rest = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setText(typed), [typed]);

  const now = (value: string) => {
    clearTimeout(rest.current);
    if (value !== typed) onTyped(value);
  };
  const latest = useRef<() => void>(() => undefined);
  latest.current = () => now(text);
  useEffect(() => {
    // A draft is written when the page goes, after this: what rests here is to be in it.
    const leave = () => flushSync(() => latest.current());
    window.addEventListener("pagehide", leave);
    return () => {
      window.removeEventListener("pagehide", leave);
      clearTimeout(rest.current);
    };
  }, []);
  const set = (value: string) => {
    clearTimeout(rest.current);
    // No key writes a tabulator here: it was pasted, or put here by a program.
    if (value.length > MOST_TYPED || (value.includes("\t") && isTable(channel, value))) {
      setText("");
      now("");
      onList(value);
      return;
    }
    setText(value);
    rest.current = setTimeout(() => now(value), 300);
  };
  const paste = (event: ClipboardEvent) => {
    const pasted = event.clipboardData.getData("text/plain");
    if (pasted.length <= MOST_TYPED && !isTable(channel, pasted)) return;
    event.preventDefault();
    onList(pasted);
  };
  return (
    <Field.Root invalid={complaint !== undefined}>
      <Field.Label>{words("recipients.typed")}</Field.Label>
      <Textarea
        rows={4}
        resize="vertical"
        spellCheck={false}
        autoComplete="off"
        value={text}
        onChange={({ target }) => set(target.value)}
        onPaste={paste}
        onBlur={() => now(text)}
      />
      <Stack gap={0} w="100%">
        {complaint !== undefined && (
          <Field.ErrorText color="red.fg" overflowWrap="anywhere" whiteSpace="pre-wrap">
            {complaint}
          </Field.ErrorText>
        )}
        <Field.HelperText>{words("recipients.typedHelp")}</Field.HelperText>
      </Stack>
    </Field.Root>
  );
}

/** Whether a pasted text is a list with several columns, and not addresses behind each other. */
function isTable(channel: string, text: string): boolean {
  const lines = text.split("\n").filter((line) => line.trim() !== "").slice(0, 5);
  if (lines.length < 2) return false;
  if (lines.every((line) => line.includes("\t"))) return true;
  return lines.every((line) => {
    const parts = addressesOf(channel, line);
    return line.includes(",") && !parts.every((part) => isAddress(channel, part));
  });
}
