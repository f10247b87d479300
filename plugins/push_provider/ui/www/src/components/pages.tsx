// A list page by page, as the API answers it: its rows and the way to other pages, or what stands where there are none.

import { Box, Button, Flex, HStack, NativeSelect, Text } from "@chakra-ui/react";
import type { UseQueryResult } from "@tanstack/react-query";
import { useEffect, useId, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Refusal, Waiting } from "./notices";
import { FARTHEST, type Place } from "./urlState";

type Answer<Row> = { items: Row[]; total_entries: number; total_is_exact: boolean };

type PagesProps<Row> = {
  of: UseQueryResult<Answer<Row>>;
  at: Place;
  /** What stands there if nothing matches. */
  empty: ReactNode;
  children: (rows: Row[]) => ReactNode;
};

export function Pages<Row>({ of, at, empty, children }: PagesProps<Row>) {
  const { data, error, isPlaceholderData: former, refetch } = of;
  const { limit, offset, set } = at;
  const none = data?.items.length === 0;
  // Its last rows are gone, or the address names a page that there is no more.
  const beyond = none && !former && offset > 0;
  const total = data?.total_entries ?? 0;
  useEffect(() => {
    const last = Math.floor(Math.max(total - 1, 0) / limit) * limit;
    if (beyond) set({ offset: Math.max(Math.min(last, offset - limit), 0) });
  }, [beyond, total, limit, offset, set]);
  return (
    <>
      {error && <Refusal error={error} again={() => void refetch()} />}
      {!error && (data === undefined || (none && former) || beyond) && <Waiting />}
      {data !== undefined && !none && (
        <Box opacity={former ? 0.6 : 1} aria-busy={former}>
          {children(data.items)}
          <Pager of={data} at={at} />
        </Box>
      )}
      {none && !former && !beyond && empty}
    </>
  );
}

function Pager({ of: { items, total_entries: total, total_is_exact: exact }, at }: { of: Answer<unknown>; at: Place }) {
  const { t } = useTranslation();
  const size = useId();
  const { limit, offset } = at;
  const to = offset + items.length;
  const more = !exact || to < total;
  const reached = more && offset + limit > FARTHEST;
  const turn = (change: Record<string, number>) => at.set(change, false); // "back" is the page before
  return (
    <Flex gap={3} align="center" wrap="wrap" mt={2}>
      <Text fontSize="sm" color="fg.muted" role="status">
        {t(exact ? "list.page" : "list.pageMany", { from: offset + 1, to, total })}
        {reached && ` ${t("list.reached")}`}
      </Text>
      <HStack gap={1}>
        <Button
          size="xs"
          variant="outline"
          disabled={offset === 0}
          aria-label={t("list.previous")}
          onClick={() => turn({ offset: Math.max(offset - limit, 0) })}
        >
          ‹
        </Button>
        <Button
          size="xs"
          variant="outline"
          disabled={!more || reached}
          aria-label={t("list.next")}
          onClick={() => turn({ offset: offset + limit })}
        >
          ›
        </Button>
      </HStack>
      <HStack gap={1}>
        <Text as="label" {...{ htmlFor: size }} fontSize="sm" color="fg.muted">
          {t("list.size")}
        </Text>
        <NativeSelect.Root size="xs" w="4.5rem">
          <NativeSelect.Field
            id={size}
            value={limit}
            onChange={({ target }) => turn({ limit: Number(target.value), offset: 0 })}
          >
            {[10, 25, 50, 100].map((count) => (
              <option key={count}>{count}</option>
            ))}
          </NativeSelect.Field>
          <NativeSelect.Indicator />
        </NativeSelect.Root>
      </HStack>
    </Flex>
  );
}
