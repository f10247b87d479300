// A list: a table with sorting and choosing, and its filters above it.

import { Box, Button, Checkbox, Flex, Input, NativeSelect, Stack, Table, Text } from "@chakra-ui/react";
import { useEffect, useId, useRef, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { LAST, momentOf, onClock, zone, zoneWords } from "./moment";

export type Column<Row> = {
  name: string;
  title: string;
  /** The API's name of this order, if the list can be sorted by it. */
  order?: string;
  cell: (row: Row) => ReactNode;
  /** Left out where the screen is narrow. */
  wide?: boolean;
};

type ListProps<Row> = {
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string;
  rowName?: (row: Row) => string;
  /** As the API has it: a name, with - in front the other way round. */
  order?: string;
  onOrder?: (order: string) => void;
  chosen?: ReadonlySet<string>;
  onChosen?: (chosen: Set<string>) => void;
};

export function List<Row>(props: ListProps<Row>) {
  const { label, columns, rows, rowKey, rowName = rowKey, order, onOrder, chosen, onChosen } = props;
  const { t } = useTranslation();
  const keys = rows.map(rowKey);
  const all = chosen !== undefined && keys.length > 0 && keys.every((key) => chosen.has(key));
  const choose = (some: string[], on: boolean) => {
    const after = new Set(chosen);
    for (const key of some) on ? after.add(key) : after.delete(key);
    onChosen?.(after);
  };
  return (
    <Table.ScrollArea borderWidth="1px" borderRadius="md" tabIndex={0} role="region" aria-label={label}>
      <Table.Root size="sm" interactive aria-label={label}>
        <Table.Header>
          <Table.Row>
            {onChosen && (
              <Table.ColumnHeader w="1">
                <Choice checked={all} name={t("list.chooseAll")} onChange={(on) => choose(keys, on)} />
              </Table.ColumnHeader>
            )}
            {columns.map((column) => (
              <Table.ColumnHeader
                key={column.name}
                whiteSpace="nowrap"
                display={column.wide ? { base: "none", lg: "table-cell" } : undefined}
                aria-sort={
                  column.order === undefined || order?.replace("-", "") !== column.order
                    ? undefined
                    : order.startsWith("-")
                      ? "descending"
                      : "ascending"
                }
              >
                {column.order !== undefined && onOrder ? (
                  <Button
                    variant="plain"
                    size="xs"
                    px={0}
                    fontWeight="inherit"
                    aria-label={t("list.sort", { name: column.title })}
                    onClick={() => onOrder(order === column.order ? `-${column.order}` : (column.order as string))}
                  >
                    {column.title}
                    {order === column.order ? " ↑" : order === `-${column.order}` ? " ↓" : ""}
                  </Button>
                ) : (
                  column.title
                )}
              </Table.ColumnHeader>
            ))}
          </Table.Row>
        </Table.Header>
        <Table.Body>
          {rows.map((row) => (
            <Table.Row key={rowKey(row)} data-row={rowKey(row)}>
              {onChosen && (
                <Table.Cell>
                  <Choice
                    checked={chosen?.has(rowKey(row)) ?? false}
                    name={t("list.choose", { name: rowName(row) })}
                    onChange={(on) => choose([rowKey(row)], on)}
                  />
                </Table.Cell>
              )}
              {columns.map((column) => (
                <Table.Cell key={column.name} display={column.wide ? { base: "none", lg: "table-cell" } : undefined}>
                  {column.cell(row)}
                </Table.Cell>
              ))}
            </Table.Row>
          ))}
        </Table.Body>
      </Table.Root>
    </Table.ScrollArea>
  );
}

function Choice({ checked, name, onChange }: { checked: boolean; name: string; onChange: (on: boolean) => void }) {
  return (
    <Checkbox.Root size="sm" checked={checked} onCheckedChange={({ checked: on }) => onChange(on === true)}>
      <Checkbox.HiddenInput aria-label={name} />
      <Checkbox.Control />
    </Checkbox.Root>
  );
}

/** Text that strangers wrote: it stays within its own direction and width, and is whole in its title. */
export function Foreign({ children, lines = 2 }: { children: string | null | undefined; lines?: number }) {
  if (!children) return <Text as="span" color="fg.muted">–</Text>;
  const shown = children.length > 300 ? `${children.slice(0, 300)}…` : children;
  return (
    <Text as="bdi" display="block" lineClamp={lines} overflowWrap="anywhere" maxW="24rem" title={children.slice(0, 2_000)}>
      {shown}
    </Text>
  );
}

// --- filters ---------------------------------------------------------------------------------------------

export function FilterBar({ children, onClear }: { children: ReactNode; onClear?: (() => void) | undefined }) {
  const { t } = useTranslation();
  return (
    <Flex role="search" gap={2} wrap="wrap" align="end" mb={3}>
      {children}
      {onClear && (
        <Button size="sm" variant="ghost" onClick={onClear}>
          {t("do.clear")}
        </Button>
      )}
    </Flex>
  );
}

type FilterProps = { label: string; value: string; onChange: (value: string) => void };
type TextFilterProps = FilterProps & {
  w?: string;
  /** Characters below which nothing is asked for. */
  least?: number;
  /** Characters that are no part of it. */
  without?: RegExp;
};

/** Milliseconds without a key after which a filter is asked for: an answer takes some twenty. */
const REST = 100;

/** A filter by text, which is asked for when the user rests. */
export function TextFilter({ label, value, onChange, w = "12rem", least = 0, without }: TextFilterProps) {
  const [text, setText] = useState(value);
  const asked = useRef<string[]>([]); // what was asked for here and has not come back as the value yet
  const replaced = useRef(false); // the text is about to be another one, and is not to be asked for any more
  const id = useId();
  useEffect(() => {
    // By the time that it comes back, the user may have typed on; only what comes from elsewhere is shown.
    const place = asked.current.lastIndexOf(value);
    asked.current = place < 0 ? [] : asked.current.slice(place + 1);
    replaced.current = place < 0;
    if (place < 0) setText(value);
  }, [value]);
  useEffect(() => {
    const wanted = text.trim();
    const over = replaced.current;
    replaced.current = false;
    // What is on its way is not asked for again: by then somebody may have cleared it.
    if (over || wanted === asked.current.at(-1)) return undefined;
    if (wanted === value || (wanted !== "" && wanted.length < least)) return undefined;
    const rest = setTimeout(() => {
      asked.current.push(wanted);
      onChange(wanted);
    }, REST);
    return () => clearTimeout(rest);
  }, [text, value, least, onChange]);
  return (
    <Stack gap={0}>
      <Text as="label" {...{ htmlFor: id }} fontSize="xs" color="fg.muted">
        {label}
      </Text>
      <Input
        id={id}
        size="sm"
        w={w}
        maxLength={200}
        value={text}
        onChange={({ target }) => setText(without ? target.value.replace(without, "") : target.value)}
      />
    </Stack>
  );
}

export function ChoiceFilter({ label, value, onChange, options }: FilterProps & { options: { value: string; label: string }[] }) {
  const { t } = useTranslation();
  const id = useId();
  return (
    <Stack gap={0}>
      <Text as="label" {...{ htmlFor: id }} fontSize="xs" color="fg.muted">
        {label}
      </Text>
      <NativeSelect.Root size="sm" w="9rem">
        <NativeSelect.Field id={id} value={value} onChange={(event) => onChange(event.target.value)}>
          <option value="">{t("field.all")}</option>
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.label}
            </option>
          ))}
        </NativeSelect.Field>
        <NativeSelect.Indicator />
      </NativeSelect.Root>
    </Stack>
  );
}

/** A filter by where something stands, or by another of the page's words of one kind. */
export function WordFilter({ kind, words, ...filter }: Omit<FilterProps, "label"> & { kind: string; words: readonly string[] }) {
  const { t } = useTranslation();
  const options = words.map((value) => ({ value, label: t(`${kind}.${value}`) }));
  return <ChoiceFilter {...filter} label={t(`${kind}.label`)} options={options} />;
}

/** A filter by a moment on the clock that the lists follow; the value is RFC 3339, or whatever the address says. */
export function MomentFilter({ label, value, onChange }: FilterProps) {
  const { i18n } = useTranslation();
  const id = useId();
  const timeZone = zone();
  const given = value === "" ? "" : onClock(new Date(value), timeZone);
  const [text, setText] = useState(given);
  useEffect(() => setText(given), [given]);
  const set = (typed: string) => {
    setText(typed);
    if (typed === "") onChange("");
    // While a year is typed it is 0002 and 0020 for a moment, and with a digit too many 20260.
    else if (/^\d{4}-/.test(typed) && typed >= "1970-01-02") onChange(momentOf(typed, timeZone).toISOString());
  };
  return (
    <Box>
      <Text as="label" {...{ htmlFor: id }} fontSize="xs" color="fg.muted" display="block">
        {label} ({zoneWords(text === "" ? new Date() : momentOf(text, timeZone), i18n.language, timeZone)})
      </Text>
      <Input
        id={id}
        type="datetime-local"
        max={LAST}
        size="sm"
        w="13rem"
        value={text}
        onChange={({ target }) => set(target.value)}
      />
    </Box>
  );
}
