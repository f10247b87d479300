// The documentation, in the page's language: its pages' names at the side, and the one that the address names.

import "./words";
import { Box, Flex, Heading, NativeSelect, Stack, Text } from "@chakra-ui/react";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { Link, Navigate, useLocation, useNavigate, useParams } from "react-router-dom";
import { screen } from "../../app/places";
import { Empty, Refusal, Waiting } from "../../components/notices";
import { useHelpPage, useHelpPages, type HelpPage } from "./calls";
import { Written } from "./Written";

export default function Help() {
  const { t, i18n } = useTranslation();
  const { name } = useParams();
  const { hash } = useLocation();
  const pages = useHelpPages(i18n.language);
  const shown = name ?? pages.data?.items[0]?.name;
  const page = useHelpPage(shown, i18n.language);

  // How the pages name each other; such an address may have been copied.
  if (hash.startsWith("#help/")) return <Navigate to={screen(hash.slice(1))} replace />;
  if (pages.error !== null) return <Refusal error={pages.error} again={() => void pages.refetch()} />;
  if (pages.data === undefined) return <Waiting />;
  if (shown === undefined) return <Empty title={t("help.none")} />;
  return (
    <Flex gap={6} direction={{ base: "column", md: "row" }} align="start">
      <Contents pages={pages.data.items} shown={shown} />
      <Box flex={1} minW={0} w="full" aria-busy={page.isPlaceholderData}>
        {page.error !== null && <Refusal error={page.error} again={() => void page.refetch()} />}
        {page.error === null && page.data === undefined && <Waiting />}
        {page.error === null && page.data !== undefined && (
          <>
            <Heading as="h2" size="xl">
              {page.data.title}
            </Heading>
            <Written title={page.data.title} html={page.data.html} />
          </>
        )}
      </Box>
    </Flex>
  );
}

/** The pages: a list at the side, and one to choose of where there is no room at the side. */
function Contents({ pages, shown }: { pages: HelpPage[]; shown: string }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const id = useId();
  return (
    <>
      <Box as="nav" aria-label={t("help.pages")} hideBelow="md" w="14rem" flexShrink={0} position="sticky" top={0}>
        <Stack as="ul" gap={0} listStyleType="none">
          {pages.map(({ name, title }) => (
            <Box as="li" key={name}>
              <Box
                asChild
                display="block"
                px={2}
                py={1}
                borderRadius="sm"
                bg={name === shown ? "bg.emphasized" : undefined}
                fontWeight={name === shown ? "medium" : undefined}
                _hover={{ bg: "bg.muted" }}
              >
                <Link to={screen(`help/${name}`)} aria-current={name === shown ? "page" : undefined}>
                  {title}
                </Link>
              </Box>
            </Box>
          ))}
        </Stack>
      </Box>
      <Box hideFrom="md" w="full">
        <Text as="label" {...{ htmlFor: id }} fontSize="xs" color="fg.muted">
          {t("help.choose")}
        </Text>
        <NativeSelect.Root size="sm">
          <NativeSelect.Field
            id={id}
            value={shown}
            onChange={(event) => void navigate(screen(`help/${event.target.value}`))}
          >
            {pages.map(({ name, title }) => (
              <option key={name} value={name}>
                {title}
              </option>
            ))}
          </NativeSelect.Field>
          <NativeSelect.Indicator />
        </NativeSelect.Root>
      </Box>
    </>
  );
}
