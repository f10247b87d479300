// The form of a configuration, made of what its channel declares.

import { Button, Field as Frame, Flex, Heading, Input, Stack, Text } from "@chakra-ui/react";
import { useState, type ReactNode } from "react";
import { FormProvider, useForm } from "react-hook-form";
import { useTranslation } from "react-i18next";
import { Link, useNavigate, useParams } from "react-router-dom";
import type { Config, EmailService } from "../../api/client";
import {
  configOf,
  useChannels,
  useConfigs,
  useConnection,
  useEmailServices,
  type AirflowConnection,
} from "../../api/queries";
import { screen } from "../../app/places";
import { say } from "../../components/messages";
import { Empty, Refusal, Waiting } from "../../components/notices";
import { isTaken, useChangeConnection, useCreateConnection } from "./calls";
import {
  changeOf,
  extraOf,
  ID_PATTERN,
  isSecure,
  portFor,
  PUSH_EMAIL,
  serviceNamed,
  shownFields,
  valuesOf,
  type ConnectionType,
  type Field,
  type Values,
} from "./connection";
import { FormField } from "./FormField";
import { ServiceChoice } from "./ServiceChoice";

const LIST = screen("configurations");

export function NewConfig() {
  const { type: name } = useParams();
  return <WithTypes>{(types) => <Ready types={types} name={name ?? ""} />}</WithTypes>;
}

export function EditConfig() {
  const { id } = useParams();
  const connection = useConnection(id);
  const configs = useConfigs();
  const error = connection.error ?? configs.error;
  // Their first answers make the form; what they say later must not undo what is being entered.
  if (connection.data === undefined || configs.data === undefined) {
    return error === null ? <Waiting /> : <Refusal error={error} />;
  }
  const { data } = connection;
  const config = configOf(configs.data.items, id);
  return (
    <WithTypes>
      {(types) => <Ready types={types} name={data.conn_type} connection={data} config={config} />}
    </WithTypes>
  );
}

function WithTypes({ children }: { children: (types: ConnectionType[]) => ReactNode }) {
  const channels = useChannels();
  if (channels.error !== null) return <Refusal error={channels.error} again={() => void channels.refetch()} />;
  if (channels.data === undefined) return <Waiting />;
  return children(channels.data.items.flatMap((channel) => channel.connection_types));
}

type FormProps = { type: ConnectionType; connection?: AirflowConnection | undefined; config?: Config | undefined };
type ReadyProps = Omit<FormProps, "type"> & { types: ConnectionType[]; name: string };

function Ready({ types, name, connection, config }: ReadyProps) {
  const { t } = useTranslation();
  const type = types.find((one) => one.name === name);
  if (type !== undefined) return <Form type={type} connection={connection} config={config} />;
  return (
    <Empty title={t("configurations.form.unknown", { id: connection?.connection_id ?? "", type: name })}>
      <Link to="/connections">{t("configurations.elsewhere")}</Link>
    </Empty>
  );
}

/** In the order in which people have them at hand: who sends, with what, and where. */
const ORDER = ["login", "password", "host", "port", "schema", "description"];

function Form({ type, connection, config }: FormProps) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const services = useEmailServices();
  const create = useCreateConnection();
  const { change } = useChangeConnection();
  const [before] = useState(() => valuesOf(type, connection, config));
  const [refused, setRefused] = useState<unknown>(null);
  const form = useForm<Values>({ defaultValues: before });
  const { errors, isSubmitting } = form.formState;
  const values = form.watch();

  const fields = shownFields(type);
  const service = fields.find(({ name, extra }) => type.name === PUSH_EMAIL && extra && name === "service");
  const account = fields.filter((field) => !field.extra).sort((a, b) => ORDER.indexOf(a.name) - ORDER.indexOf(b.name));
  const more = fields.filter((field) => field.extra && field !== service);
  const known = services.data?.items ?? [];
  const portOf = (of: Values) => portFor(type, of, serviceNamed(known, of.extra["service"]));
  const port = portOf(values);

  const choose = (chosen: EmailService | undefined) => {
    const entered = { shouldDirty: true, shouldValidate: true };
    form.setValue("extra.service", chosen?.name ?? "", entered);
    if (chosen === undefined) return;
    form.setValue("standard.host", chosen.host ?? "", entered);
    form.setValue("standard.port", String(chosen.port ?? ""), entered);
    form.setValue("extra.secure", String(isSecure(chosen)), entered);
  };

  const save = form.handleSubmit(async (entered) => {
    setRefused(null);
    const after = structuredClone(entered);
    if (!after.standard["port"]?.trim()) after.standard["port"] = String(portOf(after) ?? "");
    const id = after.connection_id.trim();
    try {
      if (connection === undefined) await create(id, type.name, changeOf(type, null, after));
      else await change(id, changeOf(type, before, after));
    } catch (error) {
      if (!isTaken(error)) setRefused(error);
      else form.setError("connection_id", { message: t("configurations.form.taken") }, { shouldFocus: true });
      return;
    }
    say(t("configurations.saved", { id }));
    void navigate(LIST);
  });

  const note = (field: Field): string | undefined => {
    if (field.secret && isStored(field, connection)) return t("configurations.form.kept");
    if (field.name === "port" && !field.extra && port !== undefined) return t("configurations.form.portHelp", { port });
    return undefined;
  };
  const shown = (field: Field) => (
    <FormField key={field.name} field={field} placeholder={type.placeholders[field.name]} note={note(field)} />
  );
  const title = connection
    ? t("configurations.form.edit", { id: connection.connection_id })
    : t("configurations.form.new");

  return (
    <FormProvider {...form}>
      <form noValidate aria-label={title} onSubmit={(event) => void save(event)}>
        <Stack gap={4} maxW="40rem">
          <Heading as="h2" size="md" overflowWrap="anywhere">
            {title}
          </Heading>
          <Text color="fg.muted">
            {t("configurations.form.type")}: {type.label}
          </Text>
          {connection === undefined && (
            <Frame.Root required invalid={errors.connection_id !== undefined} data-field="connection_id">
              <Frame.Label>
                {t("configurations.form.id")} <Frame.RequiredIndicator />
              </Frame.Label>
              <Input
                {...form.register("connection_id", {
                  validate: (id) => ID_PATTERN.test(id.trim()) || t("configurations.form.idWrong"),
                })}
                autoComplete="off"
                spellCheck={false}
              />
              <Frame.HelperText>{t("configurations.form.idHelp")}</Frame.HelperText>
              <Frame.ErrorText>{errors.connection_id?.message}</Frame.ErrorText>
            </Frame.Root>
          )}
          <Group title={t("configurations.form.account")}>
            {service && (
              <ServiceChoice
                label={service.label}
                help={service.description}
                services={known}
                value={values.extra["service"] ?? ""}
                onChange={choose}
              />
            )}
            {account.map(shown)}
          </Group>
          {more.length > 0 && <Group title={t("configurations.form.more")}>{more.map(shown)}</Group>}
          {refused !== null && <Refusal error={refused} />}
          <Flex gap={2} wrap="wrap">
            <Button type="submit" colorPalette="brand" loading={isSubmitting}>
              {t("do.save")}
            </Button>
            <Button asChild variant="outline">
              <Link to={LIST}>{t("do.cancel")}</Link>
            </Button>
          </Flex>
        </Stack>
      </form>
    </FormProvider>
  );
}

/** Whether a secret is stored that the form does not show. */
function isStored({ name, extra }: Field, connection: AirflowConnection | undefined): boolean {
  if (connection === undefined) return false;
  return Boolean(extra ? extraOf(connection, undefined)[name] : connection.password);
}

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Stack as="section" aria-label={title} gap={4} borderWidth="1px" borderRadius="md" p={4}>
      <Heading as="h3" size="sm">
        {title}
      </Heading>
      {children}
    </Stack>
  );
}
