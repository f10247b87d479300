// One list of recipients: where it came from, which column holds the addresses, what its other columns are called.

import { Box, Button, Checkbox, Code, Field, HStack, NativeSelect, Text } from "@chakra-ui/react";
import { useMemo } from "react";
import { useWords } from "../Labelled";
import { heads, variablesOf, type Table } from "./tables";

/** Variables that are named; a list may have any number of columns. */
const MOST_NAMED = 30;

export function TableLine({ table, onChange }: { table: Table; onChange: (table: Table | null) => void }) {
  const words = useWords();
  const columns = useMemo(() => heads(table), [table]);
  const names = useMemo(() => variablesOf(table).filter((_, column) => column !== table.address), [table]);
  const rows = table.rows.length - (table.header ? 1 : 0);
  return (
    <Box borderWidth="1px" borderRadius="md" p={3} minW={0} role="group" aria-label={table.label}>
      <HStack justify="space-between" gap={2} minW={0}>
        <Text as="bdi" fontWeight="medium" overflowWrap="anywhere" minW={0}>
          {table.label.slice(0, 200)} · {words("recipients.rows", { total: rows })}
        </Text>
        <Button
          size="xs"
          variant="ghost"
          flexShrink={0}
          aria-label={words("removeNamed", { name: table.label.slice(0, 200) })}
          onClick={() => onChange(null)}
        >
          {words("remove")}
        </Button>
      </HStack>
      {!table.named && (
        <HStack wrap="wrap" gap={4} align="end" mt={2}>
          <Field.Root w="14rem" maxW="100%">
            <Field.Label fontSize="sm">{words("recipients.column")}</Field.Label>
            <NativeSelect.Root size="sm">
              <NativeSelect.Field
                value={table.address}
                onChange={({ target }) => onChange({ ...table, address: Number(target.value) })}
              >
                {columns.slice(0, 200).map((name, column) => (
                  <option key={column} value={column}>
                    {name.slice(0, 60)}
                  </option>
                ))}
              </NativeSelect.Field>
              <NativeSelect.Indicator />
            </NativeSelect.Root>
          </Field.Root>
          <Checkbox.Root
            size="sm"
            pb={2}
            checked={table.header}
            onCheckedChange={({ checked }) => onChange({ ...table, header: checked === true })}
          >
            <Checkbox.HiddenInput />
            <Checkbox.Control />
            <Checkbox.Label>{words("recipients.header")}</Checkbox.Label>
          </Checkbox.Root>
        </HStack>
      )}
      {names.length > 0 && (
        <Text fontSize="sm" color="fg.muted" mt={2} lineHeight="tall">
          {words("recipients.variables")}{" "}
          {names.slice(0, MOST_NAMED).map((name) => (
            <Code key={name} size="sm" me={1} overflowWrap="anywhere" whiteSpace="normal">
              {`{{ ${name.slice(0, 60)} }}`}
            </Code>
          ))}
          {names.length > MOST_NAMED && "…"}
        </Text>
      )}
    </Box>
  );
}
