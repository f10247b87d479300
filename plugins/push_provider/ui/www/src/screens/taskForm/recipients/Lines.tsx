// The recipients as they will be sent to, a page at a time, the wrong ones marked.

import { Box, Button, Checkbox, HStack, Table, Text } from "@chakra-ui/react";
import { useMemo, useRef, useState, type MouseEvent } from "react";
import { useTranslation } from "react-i18next";
import { Foreign } from "../../../components/list";
import { useWords } from "../Labelled";
import { keyOfRow, text } from "./tables";
import type { Line, Roll } from "./useRoll";

/** Rows that are drawn, and columns of variables. */
const PAGE = 50;
const COLUMNS = 8;
/** Milliseconds and pixels within which a second click belongs to a double one. */
const DOUBLE = 500;
const NEAR = 5;

type LinesProps = {
  roll: Roll;
  onPreview: (line: number) => void;
};

export function Lines({ roll, onPreview }: LinesProps) {
  const { t } = useTranslation();
  const words = useWords();
  const { lines, wrong } = roll.checked;
  const [onlyWrong, setOnlyWrong] = useState(false);
  const [asked, setPage] = useState(0);
  const filtered = onlyWrong && wrong.length > 0;
  const all = filtered ? wrong : lines;
  const page = Math.min(asked, Math.max(Math.ceil(all.length / PAGE) - 1, 0));
  const from = page * PAGE;
  const shown = all.slice(from, from + PAGE);
  const columns = useMemo(() => {
    const names = new Set(shown.flatMap(({ variables }) => Object.keys(variables)));
    return [...names].slice(0, COLUMNS);
  }, [shown]);

  const clicked = useRef({ timeStamp: -Infinity, clientX: 0, clientY: 0 });
  const remove = (line: Line, event: MouseEvent) => {
    // The second click of a double one comes upon the row below, where not all browsers count it as a second one.
    const { detail, timeStamp, clientX, clientY } = event;
    const before = clicked.current;
    const there = Math.hypot(clientX - before.clientX, clientY - before.clientY) < NEAR;
    if (detail > 1 || (detail === 1 && there && timeStamp - before.timeStamp < DOUBLE)) return;
    if (detail === 1) clicked.current = { timeStamp, clientX, clientY };
    // Whoever goes by keys stays in the list.
    const row = event.currentTarget.closest("tr");
    const next = row?.nextElementSibling ?? row?.previousElementSibling;
    if (detail === 0) next?.querySelector<HTMLElement>("[data-remove]")?.focus();
    roll.remove(line);
  };
  return (
    <Box minW={0}>
      <Table.ScrollArea
        borderWidth="1px"
        borderRadius="md"
        maxH="24rem"
        tabIndex={0}
        role="region"
        aria-label={words("recipients.list")}
      >
        <Table.Root size="sm" stickyHeader aria-label={words("recipients.list")}>
          <Table.Header>
            <Table.Row>
              <Table.ColumnHeader>{words("recipients.address")}</Table.ColumnHeader>
              {columns.map((name) => (
                <Table.ColumnHeader key={name}>
                  <Foreign lines={1}>{name}</Foreign>
                </Table.ColumnHeader>
              ))}
              <Table.ColumnHeader>{t("field.actions")}</Table.ColumnHeader>
            </Table.Row>
          </Table.Header>
          <Table.Body>
            {shown.map((line, index) => (
              <Table.Row
                key={line.row === undefined ? `typed ${from + index}` : keyOfRow(line.row)}
                data-wrong={line.fault === undefined ? undefined : ""}
              >
                <Table.Cell bg={line.fault === undefined ? undefined : "bg.error"}>
                  <Foreign lines={1}>{line.to}</Foreign>
                  {line.fault !== undefined && (
                    <Text fontSize="xs" color="red.fg" overflowWrap="anywhere" maxW="24rem">
                      {"said" in line.fault ? line.fault.said : words(`recipients.${line.fault.ours}`)}
                    </Text>
                  )}
                </Table.Cell>
                {columns.map((name) => (
                  <Table.Cell key={name}>
                    <Foreign lines={1}>{text(line.variables[name])}</Foreign>
                  </Table.Cell>
                ))}
                <Table.Cell whiteSpace="nowrap">
                  {line.fault === undefined && (
                    <Button
                      size="xs"
                      variant="ghost"
                      aria-label={words("recipients.previewOf", { name: line.to.slice(0, 200) })}
                      onClick={() => onPreview(filtered ? lines.indexOf(line) : from + index)}
                    >
                      {words("preview.title")}
                    </Button>
                  )}
                  {line.table !== undefined && (
                    <Button
                      size="xs"
                      variant="ghost"
                      aria-label={words("removeNamed", { name: line.to.slice(0, 200) })}
                      data-remove=""
                      onClick={(event) => remove(line, event)}
                      onKeyDown={(event) => event.repeat && event.preventDefault()} // a key that is held removes one
                    >
                      {words("remove")}
                    </Button>
                  )}
                </Table.Cell>
              </Table.Row>
            ))}
          </Table.Body>
        </Table.Root>
      </Table.ScrollArea>
      <HStack mt={2} gap={4} wrap="wrap">
        {all.length > PAGE && (
          <HStack gap={1}>
            <Text fontSize="sm" color="fg.muted" role="status">
              {t("list.page", { from: from + 1, to: from + shown.length, total: all.length })}
            </Text>
            <Button
              size="xs"
              variant="outline"
              disabled={page === 0}
              aria-label={t("list.previous")}
              onClick={() => setPage(page - 1)}
            >
              ‹
            </Button>
            <Button
              size="xs"
              variant="outline"
              disabled={from + PAGE >= all.length}
              aria-label={t("list.next")}
              onClick={() => setPage(page + 1)}
            >
              ›
            </Button>
          </HStack>
        )}
        {wrong.length > 0 && (
          <Checkbox.Root
            size="sm"
            checked={filtered}
            onCheckedChange={({ checked }) => {
              setOnlyWrong(checked === true);
              setPage(0);
            }}
          >
            <Checkbox.HiddenInput />
            <Checkbox.Control />
            <Checkbox.Label>{words("recipients.onlyWrong")}</Checkbox.Label>
          </Checkbox.Root>
        )}
      </HStack>
    </Box>
  );
}
