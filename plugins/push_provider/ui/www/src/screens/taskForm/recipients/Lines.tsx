// The recipients as they will be sent to, a page at a time, the wrong ones marked.

import { Box, Button, Checkbox, HStack, Table, Text } from "@chakra-ui/react";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Foreign } from "../../../components/list";
import { useWords } from "../Labelled";
import { text, type Table as Source } from "./tables";
import type { Line, Roll } from "./useRoll";

/** Rows that are drawn, and columns of variables. */
const PAGE = 50;
const COLUMNS = 8;

type LinesProps = {
  roll: Roll;
  onPreview: (line: number) => void;
  onTable: (table: Source, id: number) => void;
};

export function Lines({ roll, onPreview, onTable }: LinesProps) {
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

  const remove = ({ table: id, row }: Line) => {
    const source = roll.sources.tables.find((one) => one.id === id);
    if (source) onTable({ ...source, rows: source.rows.filter((_, other) => other !== row) }, source.id);
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
              <Table.Row key={from + index} data-wrong={line.fault === undefined ? undefined : ""}>
                <Table.Cell bg={line.fault === undefined ? undefined : "bg.error"}>
                  <Foreign lines={1}>{line.to}</Foreign>
                  {line.fault !== undefined && (
                    <Text fontSize="xs" color="red.fg" overflowWrap="anywhere" maxW="24rem">
                      {line.fault === "address" ? words("recipients.noAddress") : line.fault}
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
                      onClick={() => remove(line)}
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
