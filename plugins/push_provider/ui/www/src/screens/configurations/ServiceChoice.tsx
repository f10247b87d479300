// The mail service, out of a list that is searched by name, alias and domain; and where its authorisation code is had.

import { Alert, Combobox, createListCollection, Link as Anchor, Portal, Stack, Text } from "@chakra-ui/react";
import { useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link } from "react-router-dom";
import type { EmailService } from "../../api/client";
import { screen } from "../../app/places";

type ServiceChoiceProps = {
  label: string;
  help: string | null;
  services: EmailService[];
  value: string;
  onChange: (service: EmailService | undefined) => void;
};

/** Whether a service is meant by what was typed. */
const isMeant = (service: EmailService, typed: string): boolean =>
  [service.name, ...service.aliases, ...service.domains].some((name) => name.toLowerCase().includes(typed));

export function ServiceChoice({ label, help, services, value, onChange }: ServiceChoiceProps) {
  const { t } = useTranslation();
  const [typed, setTyped] = useState("");
  const collection = useMemo(() => {
    const items = services.filter((service) => isMeant(service, typed.trim().toLowerCase()));
    return createListCollection({ items, itemToValue: ({ name }) => name, itemToString: ({ name }) => name });
  }, [services, typed]);
  return (
    <Stack gap={1.5} data-field="service">
      <Combobox.Root
        collection={collection}
        value={value === "" ? [] : [value]}
        openOnClick
        onInputValueChange={({ inputValue, reason }) => setTyped(reason === "input-change" ? inputValue : "")}
        onValueChange={({ value: [chosen] }) => onChange(services.find(({ name }) => name === chosen))}
      >
        <Combobox.Label>{label}</Combobox.Label>
        <Combobox.Control>
          <Combobox.Input placeholder="QQ, 163, Gmail …" />
          <Combobox.IndicatorGroup>
            <Combobox.ClearTrigger aria-label={t("configurations.form.clear")} />
            <Combobox.Trigger aria-label={t("configurations.form.open")} />
          </Combobox.IndicatorGroup>
        </Combobox.Control>
        <Portal>
          <Combobox.Positioner>
            <Combobox.Content>
              <Combobox.Empty>{t("configurations.form.noneFound")}</Combobox.Empty>
              {collection.items.map((service) => (
                <Combobox.Item key={service.name} item={service}>
                  <Combobox.ItemText>{service.name}</Combobox.ItemText>
                  <Text as="span" fontSize="xs" color="fg.muted" flex={1} textAlign="end">
                    {service.domains[0] ?? service.host}
                  </Text>
                  <Combobox.ItemIndicator />
                </Combobox.Item>
              ))}
            </Combobox.Content>
          </Combobox.Positioner>
        </Portal>
      </Combobox.Root>
      {help && (
        <Text fontSize="xs" color="fg.muted">
          {help}
        </Text>
      )}
      {value !== "" && <CodeHelp service={value} />}
    </Stack>
  );
}

/** Where the service of this name gives its authorisation codes. */
function CodeHelp({ service }: { service: string }) {
  const { t } = useTranslation();
  // The others have no words of their own; a dot in a name would part a key.
  const own = `configurations.code.${service.replaceAll(".", "-")}`;
  return (
    <Alert.Root status="info" size="sm" role="status" data-testid="code-help">
      <Alert.Indicator />
      <Alert.Content>
        <Alert.Title>{t("configurations.code.title")}</Alert.Title>
        <Alert.Description>
          {t([own, "configurations.code.any"])}{" "}
          <Anchor asChild textDecoration="underline">
            <Link to={screen("help/email")}>{t("configurations.code.more")}</Link>
          </Anchor>
        </Alert.Description>
      </Alert.Content>
    </Alert.Root>
  );
}
